// A finger that moves sideways over a chart brushes as a pressed mouse does; up and down it scrolls the page.
import type uPlot from 'uplot';

/** So far a finger moves before it brushes; less is a tap, which reads. */
const START_PX = 8;

/** Lets fingers brush `chart`, which tells of it by its hook `setSelect`. */
export function brushByTouch(chart: uPlot): void {
  const { over } = chart;
  let finger: { id: number; from: number; brushes: boolean } | undefined;

  const across = ({ clientX }: PointerEvent) => {
    const { left, width } = over.getBoundingClientRect();
    return Math.min(Math.max(clientX - left, 0), width);
  };

  function select(from: number, to: number, tell: boolean) {
    chart.setSelect({ left: Math.min(from, to), top: 0, width: Math.abs(to - from), height: over.clientHeight }, tell);
  }

  function forget() {
    if (finger?.brushes) {
      select(0, 0, false);
      chart.setCursor({ left: -10, top: -10 });
    }
    finger = undefined;
  }

  over.addEventListener('pointerdown', (event) => {
    if (event.pointerType !== 'touch') return;
    // A second finger means something else, such as to zoom the page.
    if (finger) forget();
    else finger = { id: event.pointerId, from: across(event), brushes: false };
  });
  over.addEventListener('pointermove', (event) => {
    if (event.pointerId !== finger?.id) return;
    const to = across(event);
    finger.brushes ||= Math.abs(to - finger.from) >= START_PX;
    if (!finger.brushes) return;
    select(finger.from, to, false);
    chart.setCursor({ left: to, top: 0 });
  });
  over.addEventListener('pointerup', (event) => {
    if (event.pointerId !== finger?.id) return;
    if (finger.brushes) select(finger.from, across(event), true);
    forget();
  });
  over.addEventListener('pointercancel', (event) => event.pointerId === finger?.id && forget());
}
