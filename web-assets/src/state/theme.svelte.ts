// Dark or light: the system's choice unless one was made here.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'emx.theme';

class Appearance {
  theme = $state<Theme>('system');
  dark = $state(false);

  start(): void {
    const system = matchMedia('(prefers-color-scheme: dark)');
    try {
      const kept = localStorage.getItem(KEY);
      if (kept === 'light' || kept === 'dark') this.theme = kept;
    } catch {
      // Storage can be forbidden; then the choice lasts as long as the page.
    }
    system.addEventListener('change', () => this.#apply(system.matches));
    this.#apply(system.matches);
  }

  choose(theme: Theme): void {
    this.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // As above.
    }
    this.#apply(matchMedia('(prefers-color-scheme: dark)').matches);
  }

  #apply(systemIsDark: boolean): void {
    this.dark = this.theme === 'system' ? systemIsDark : this.theme === 'dark';
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
  }
}

export const appearance = new Appearance();
