// Builds a uPlot chart over time from series: its scales, axes, brush and colours.
import uPlot from 'uplot';
import { bucketStart } from '../state/zones.ts';
import { clock, day, month, seconds } from '../ui/moments.ts';
import type { Place, Series } from './series.ts';

export interface PlotOptions {
  width: number;
  height: number;
  zone: string;
  log: boolean;
  /** How values are written on the axis. */
  format: (value: number) => string;
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

/** uPlot's data: the middles of the places in seconds, then the values. */
export function plotData(at: readonly Place[], series: readonly Series[], log: boolean): uPlot.AlignedData {
  // A logarithm has no place for nothing.
  const drawn = (value: number | null) => (log && value !== null && value <= 0 ? null : value);
  return [at.map(({ from, to }) => (from + to) / 2000), ...series.map(({ values }) => values.map(drawn))];
}

export function plot(options: PlotOptions, data: uPlot.AlignedData, target: HTMLElement): uPlot {
  const { width, height, zone, log, format, series, extent, ink, onhover, onbrush } = options;
  const font = `11px ${getComputedStyle(target).fontFamily}`;
  const axis = { stroke: ink('--muted'), font, ticks: { show: false } };
  const grid = { stroke: ink('--plot-grid'), width: 1 };
  return new uPlot(
    {
      width,
      height,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), zone),
      cursor: {
        y: false,
        points: { size: 6, width: 1.5 },
        drag: { x: true, y: false, setScale: false },
        sync: { key: 'time', setSeries: false, scales: ['x', null] },
      },
      scales: {
        x: { time: true, range: () => seconds2(extent()) },
        y: log
          ? { distr: 3, range: (_, low, high) => decades(low, high) }
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
          grid,
          size: 58,
          gap: 8,
          space: 30,
          values: (_, splits) => splits.map((value) => (value === null ? '' : format(value))),
        },
      ],
      series: [{}, ...series.map((one) => drawn(one, ink))],
      hooks: {
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

function seconds2([from, to]: [number, number]): [number, number] {
  return [from / 1000, to / 1000];
}

/** Whole decades around what is shown, at least one. */
function decades(low: number | null, high: number | null): [number, number] {
  const from = 10 ** Math.floor(Math.log10(Math.max(low ?? 1, 1e-3)));
  return [from, Math.max(10 ** Math.ceil(Math.log10(Math.max(high ?? 1, 1e-3))), from * 10)];
}

function drawn({ name, ink: property, kind, dash, width }: Series, ink: (property: string) => string): uPlot.Series {
  const colour = ink(property);
  const paths = kind === 'bars' ? uPlot.paths.bars?.({ size: [0.82, 56, 1] }) : uPlot.paths.linear?.();
  return {
    label: name,
    stroke: kind === 'bars' ? 'transparent' : colour,
    width: kind === 'bars' ? 0 : (width ?? 1.5),
    points: { show: kind === 'line' ? lonely : false, size: 4, fill: colour, stroke: colour },
    ...(kind === 'bars' ? { fill: colour } : {}),
    ...(dash ? { dash } : {}),
    ...(paths ? { paths } : {}),
  };
}

/** Only a point without neighbours needs a mark: no line goes through it. */
function lonely(u: uPlot, index: number): boolean {
  const values = u.data[index] ?? [];
  return values.every((value, n) => value == null || (values[n - 1] == null && values[n + 1] == null));
}

function tickName(ms: number, incr: number, zone: string): string {
  if (incr >= 28 * DAY_S) return month(ms, zone);
  if (incr >= DAY_S || bucketStart(ms, 'day', zone) === ms) return day(ms, zone);
  return incr < 60 ? seconds(ms, zone) : clock(ms, zone);
}
