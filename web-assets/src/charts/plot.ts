// Builds a uPlot chart over time from series: its scales, axes, brush and colours.
import uPlot from 'uplot';
import { bucketStart } from '../state/zones.ts';
import { clock, day, month, seconds } from '../ui/moments.ts';
import type { Place, Series } from './series.ts';
import type { Ticks } from './ticks.ts';
import { brushByTouch } from './touch.ts';

export interface PlotOptions {
  width: number;
  height: number;
  zone: string;
  log: boolean;
  ticks: Ticks;
  series: readonly Series[];
  /** What is shown, asked anew at every drawing. */
  extent: () => [number, number];
  ink: (property: string) => string;
  onhover: (place: number | undefined) => void;
  onbrush: (from: number, to: number) => void;
}

const DAY_S = 86_400;
/** A drag shorter than this is a click. */
const BRUSH_MIN_PX = 5;

/** About how wide a character of a label is. */
const LABEL_PX = 6.2;

/** uPlot's data: the middles of the places in seconds, then the values. */
export function plotData(at: readonly Place[], series: readonly Series[], log: boolean): uPlot.AlignedData {
  // A logarithm has no place for nothing.
  const drawn = (value: number | null) => (log && value !== null && value <= 0 ? null : value);
  return [at.map(({ from, to }) => (from + to) / 2000), ...series.map(({ values }) => values.map(drawn))];
}

export function plot(options: PlotOptions, data: uPlot.AlignedData, target: HTMLElement): uPlot {
  const { width, height, zone, log, ticks, series, extent, ink, onhover, onbrush } = options;
  const font = `11px ${getComputedStyle(target).fontFamily}`;
  const axis = { stroke: ink('--muted'), font, ticks: { show: false } };
  return new uPlot(
    {
      width,
      height,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), zone),
      cursor: {
        y: false,
        points: { show: series.some(({ kind }) => kind === 'line'), size: 6, width: 1.5 },
        drag: { x: true, y: false, setScale: false },
        sync: { key: 'time', setSeries: false, scales: ['x', null] },
      },
      scales: {
        x: { time: true, range: () => inSeconds(extent()) },
        y: log
          ? { distr: 3, range: (_, low, high) => logRange(ticks, low, high) }
          : { range: (_, __, high) => [0, high > 0 ? high * 1.05 : 1] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 24,
          gap: 6,
          space: 64,
          values: (_, splits, __, ___, incr) => splits.map((s) => tickName(s * 1000, incr, zone)),
        },
        {
          ...axis,
          grid: { stroke: ink('--plot-grid'), width: 1 },
          size: (_, values) => 14 + LABEL_PX * Math.max(3, ...(values ?? []).map((text) => text.length)),
          gap: 8,
          space: 30,
          incrs: ticks.steps,
          values: (_, splits) => splits.map((value) => ticks.name(value)),
          // uPlot would name powers of ten only.
          filter: (_, splits) => splits,
          ...(log ? { splits: (_: uPlot, __: number, low: number, high: number) => within(ticks.decades, low, high) } : {}),
        },
      ],
      series: [{}, ...series.map((one) => drawn(one, ink))],
      hooks: {
        ready: [brushByTouch],
        setCursor: [(u) => onhover(u.cursor.idx ?? undefined)],
        setSelect: [
          (u) => {
            const { left, width: wide } = u.select;
            if (wide >= BRUSH_MIN_PX) {
              onbrush(u.posToVal(left, 'x') * 1000, u.posToVal(left + wide, 'x') * 1000);
            }
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    },
    data,
    target,
  );
}

function inSeconds([from, to]: [number, number]): [number, number] {
  return [from / 1000, to / 1000];
}

function within(marks: readonly number[], low: number, high: number): number[] {
  return marks.filter((mark) => mark >= low * 0.999 && mark <= high * 1.001);
}

/** From the mark at or below everything shown to the one at or above it. */
function logRange({ decades }: Ticks, low: number | null, high: number | null): [number, number] {
  const [least = 1, most = 10] = [decades[0], decades.at(-1)];
  const from = decades.findLast((mark) => mark <= (low ?? 1)) ?? least;
  const to = decades.find((mark) => mark >= (high ?? 1) && mark > from) ?? most;
  return [from, Math.max(to, from * 2)];
}

function drawn({ name, ink: property, kind, dash, width }: Series, ink: (property: string) => string): uPlot.Series {
  const colour = ink(property);
  const paths = kind === 'bars' ? uPlot.paths.bars?.({ size: [0.82, 56, 1] }) : uPlot.paths.linear?.();
  return {
    label: name,
    stroke: kind === 'bars' ? 'transparent' : colour,
    width: kind === 'bars' ? 0 : (width ?? 1.5),
    points: { show: kind === 'line', filter: lonely, size: 4, fill: colour, stroke: colour },
    ...(kind === 'bars' ? { fill: colour } : {}),
    ...(dash ? { dash } : {}),
    ...(paths ? { paths } : {}),
  };
}

/** Only a point without neighbours needs a mark: no line goes through it. */
function lonely(u: uPlot, index: number): number[] {
  const values = u.data[index] ?? [];
  const alone: number[] = [];
  for (let n = 0; n < values.length; n++) {
    if (values[n] != null && values[n - 1] == null && values[n + 1] == null) alone.push(n);
  }
  return alone;
}

function tickName(ms: number, incr: number, zone: string): string {
  if (incr >= 28 * DAY_S) return month(ms, zone);
  if (incr >= DAY_S || bucketStart(ms, 'day', zone) === ms) return day(ms, zone);
  return incr < 60 ? seconds(ms, zone) : clock(ms, zone);
}
