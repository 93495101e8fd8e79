// What signed in, in words: browsers say far more of themselves than anybody reads.

/** The most particular first: most name those they descend from too. */
const PROGRAMS: [RegExp, string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:HeadlessChrome|Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bVersion\/[\d.]+.*Safari\//, 'Safari'],
  [/^curl\//, 'curl'],
  [/^emx\//, 'emx'],
];

const SYSTEMS: [RegExp, string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\b(?:iPhone|iPad|iPod)\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];

/** `Firefox on Linux`; what is not known as it said itself. */
export function agentName(agent: string | null): string {
  if (!agent) return 'Something that did not say';
  const found = (among: [RegExp, string][]) => among.find(([sign]) => sign.test(agent))?.[1];
  const [program, system] = [found(PROGRAMS), found(SYSTEMS)];
  if (!program) return agent.slice(0, 60);
  return system ? `${program} on ${system}` : program;
}
