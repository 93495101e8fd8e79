// A form under way: sent once at a time, with what the server found wrong at each field.
import { getContext, setContext } from 'svelte';
import { Problem } from '../api/problem.ts';

const KEY = Symbol('form');

export class FormState {
  busy = $state(false);
  error = $state.raw<Error>();
  /** The pointers of the fields that say what is wrong with them. */
  readonly #fields = new Set<string>();

  /** Says that there is a field for what `pointer` points at; returns how to take that back. */
  field(pointer: string): () => void {
    this.#fields.add(pointer);
    return () => this.#fields.delete(pointer);
  }

  /** Whether it was sent and taken. */
  async send(act: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.error = undefined;
    try {
      await act();
      return true;
    } catch (thrown) {
      this.error = thrown as Error;
      return false;
    } finally {
      this.busy = false;
    }
  }

  /** What is wrong with the field of `pointer`, or with a part of it; nothing of a field without one. */
  faultsAt(pointer: string): string[] {
    if (pointer === '') return [];
    return this.#faults()
      .filter((fault) => isWithin(fault.pointer, pointer))
      .map(({ detail }) => detail);
  }

  /** What no field says. */
  get rest(): Error | undefined {
    const faults = this.#faults();
    const isSaid = ({ pointer }: { pointer: string }) => [...this.#fields].some((field) => isWithin(pointer, field));
    return faults.length > 0 && faults.every(isSaid) ? undefined : this.error;
  }

  #faults() {
    return this.error instanceof Problem ? this.error.faults : [];
  }
}

function isWithin(pointer: string, field: string): boolean {
  return pointer === field || pointer.startsWith(`${field}/`);
}

export function provideForm(): FormState {
  return setContext(KEY, new FormState());
}

/** The form around a field; one of its own where there is none. */
export function formAround(): FormState {
  return getContext<FormState | undefined>(KEY) ?? new FormState();
}
