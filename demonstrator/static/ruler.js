// The ruler above the lanes: beats and bars, or seconds where nothing beats, and the marks.
import { penOf } from "./lanes.js";
import { clock } from "./timeline.js";

const FEWEST_PX = 5; // between two lines
const LABEL_PX = 44;
const SECONDS = [0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];

export function drawRuler(canvas, shown, beats, marks) {
  const paper = penOf(canvas);
  if (!paper) return;
  const { pen, scale, width, height } = paper;
  const style = getComputedStyle(document.documentElement);
  const at = (seconds) => ((seconds - shown.from) / (shown.to - shown.from)) * width;
  pen.font = `${10 * scale}px system-ui, sans-serif`;
  pen.fillStyle = style.getPropertyValue("--soft");
  const bars = beats.filter(([, first]) => first);
  if (bars.length > 1) drawBars(pen, beats, bars, at, { scale, width, height });
  else drawSeconds(pen, shown, at, { scale, width, height });
  pen.fillStyle = style.getPropertyValue("--accent");
  for (const mark of marks) {
    const x = at(mark.a);
    pen.beginPath();
    pen.moveTo(x - 5 * scale, 0);
    pen.lineTo(x + 5 * scale, 0);
    pen.lineTo(x, 9 * scale);
    pen.fill();
  }
}

function drawBars(pen, beats, bars, at, { scale, width, height }) {
  const barPx = Math.abs(at(bars[1][0]) - at(bars[0][0])) / scale;
  const every = 2 ** Math.max(0, Math.ceil(Math.log2(FEWEST_PX / barPx)));
  const named = 2 ** Math.max(0, Math.ceil(Math.log2(LABEL_PX / barPx)));
  let bar = 0;
  for (const [seconds, first] of beats) {
    if (first) bar += 1;
    const x = at(seconds);
    if (x < -1 || x > width || (first ? (bar - 1) % every : barPx / 4 < FEWEST_PX)) continue;
    const tall = first ? 0.55 : 0.25;
    pen.fillRect(x, height * (1 - tall), scale, height * tall);
    if (first && (bar - 1) % named === 0) pen.fillText(bar, x + 3 * scale, height * 0.5);
  }
}

function drawSeconds(pen, shown, at, { scale, width, height }) {
  const step = SECONDS.find((one) => ((at(one) - at(0)) / scale) >= LABEL_PX) || 600;
  for (let seconds = Math.ceil(shown.from / step) * step; at(seconds) <= width; seconds += step) {
    pen.fillRect(at(seconds), height * 0.5, scale, height * 0.5);
    pen.fillText(clock(seconds), at(seconds) + 3 * scale, height * 0.5);
  }
}
