// The address as the page's state: read by everything, changed only through here.
import { type Address, formatAddress, parseAddress } from './address.ts';
import { type Filter, sameFilter, withFilter } from './filters.ts';
import { browserZone, isZone } from './zones.ts';

class Route {
  address = $state.raw<Address>(parseAddress(new URL('https://localhost/')));

  /** Follows the browser's address from now on. */
  start(): void {
    const read = () => (this.address = parseAddress(new URL(location.href)));
    window.addEventListener('popstate', read);
    read();
  }

  /** Where a change of the address would lead; for links. */
  href(change: Partial<Address>): string {
    return formatAddress(this.#with(change));
  }

  /** Another view begins with nothing open. */
  #with(change: Partial<Address>): Address {
    const shut = change.view !== undefined && change.view !== this.address.view;
    return { ...this.address, ...(shut ? { run: undefined, open: undefined } : {}), ...change };
  }

  /** Goes there; `replace` for what nobody wants to come back to. */
  go(change: Partial<Address>, replace = false): void {
    const next = this.#with(change);
    const href = formatAddress(next);
    if (href === location.pathname + location.search) return;
    history[replace ? 'replaceState' : 'pushState'](null, '', href);
    this.address = next;
    if (change.view) window.scrollTo(0, 0);
  }

  addFilter(filter: Filter): void {
    this.go({ filters: withFilter(this.address.filters, filter) });
  }

  dropFilter(filter: Filter): void {
    this.go({ filters: this.address.filters.filter((f) => !sameFilter(f, filter)) });
  }

  changeFilter(from: Filter, to: Filter): void {
    this.go({ filters: this.address.filters.map((f) => (sameFilter(f, from) ? to : f)) });
  }
}

export const route = new Route();

/** The IANA zone of a choice. */
export function zoneOf(choice: string, tenantZone: string | undefined): string {
  if (choice === 'browser') return browserZone();
  if (choice === 'tenant') return tenantZone && isZone(tenantZone) ? tenantZone : 'UTC';
  return choice;
}

/** Lets a click on a link within the page change only the address; modified clicks stay the browser's. */
export function followLink(event: MouseEvent, change: Partial<Address>): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  route.go(change);
}
