// Plots of a run, by uPlot; colors are those of the page, light or dark.

const RETRY_SECONDS = 2;
const HEIGHT = 260;
const plots = new WeakMap(); // by figure

function color(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faint(name) {
  return color(name).replace("rgb(", "rgba(").replace(")", ", 0.18)");
}

function axis(label, size) {
  const grid = { stroke: color("line"), width: 1 };
  return { label, stroke: color("soft"), grid, ticks: grid, labelSize: 18, size, font: "12px system-ui", labelFont: "12px system-ui" };
}

function widthOf(figure) { return figure.clientWidth - 20; }

function isWhole({ data: [xs] }, low, high) { return !xs.length || (low <= xs[0] && high >= xs.at(-1)); }

// Marks are drawn over the series. A figure that has these series already gets the numbers, and stays as somebody
// has zoomed it.
function place(figure, { marks = [], ...options }, data) {
  const look = JSON.stringify([color("ink"), options.series.map(({ label }) => label)]);
  const shown = plots.get(figure);
  if (shown?.look === look) {
    const { min, max } = shown.plot.scales.x;
    const isReset = isWhole(shown.plot, min, max);
    shown.marks = marks;
    shown.plot.setData(data, isReset);
    if (!isReset) shown.plot.redraw();
    return;
  }
  const width = widthOf(figure);
  shown?.plot.destroy();
  const drawn = { look, marks };
  plots.set(figure, drawn);
  drawn.plot = new uPlot({
    width, height: HEIGHT, scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.08] } },
    cursor: { drag: { x: true, y: false } }, hooks: { draw: [(plot) => drawn.marks.forEach((mark) => mark(plot))] }, ...options,
  }, data, figure);
}

// A dashed line across the plot at a value of an axis, such as the runtime target.
function across(axis, value, name) {
  return (plot) => {
    const { ctx, bbox: { left, top, width, height } } = plot;
    const at = plot.valToPos(value, axis, true);
    if (axis === "x" ? at < left || at > left + width : at < top) return;
    ctx.save();
    ctx.strokeStyle = color(name);
    ctx.setLineDash([6, 5]);
    ctx.beginPath();
    ctx.moveTo(axis === "x" ? at : left, axis === "x" ? top : at);
    ctx.lineTo(axis === "x" ? at : left + width, axis === "x" ? top + height : at);
    ctx.stroke();
    ctx.restore();
  };
}

function jobMarks(ends) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = faint("ink");
    ctx.beginPath();
    for (const at of ends) {
      const x = plot.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x, bbox.top + bbox.height - 10);
    }
    ctx.stroke();
    ctx.restore();
  };
}

// From the start of a run, so that plots of it stand above each other, unless somebody looks at a part of it.
const fromStart = {
  x: { time: false, range: (plot, low, high) => (isWhole(plot, low, high) ? [0, Math.max(high, 1)] : [low, high]) },
  y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.08] },
};

// Of axes that count something.
const whole = (_, splits) => splits.map((value) => (Number.isInteger(value) ? String(value) : ""));
const seconds = (_, value) => (value == null ? "–" : `${value.toFixed(1)} s`);

// Of a plot with fewer values than that, each is a point.
const points = (count) => ({ show: ({ data: [xs] }) => xs.length < count, size: 5 });

function share(_, value) { return value == null ? "–" : `${(100 * value).toFixed(1)}%`; }

function drawTraining(figures, training) {
  const shares = (plot, splits) => splits.map((value) => `${Math.round(100 * value)}%`);
  const y = { ...axis("error", 54), values: shares };
  for (const figure of figures) {
    if (figure.dataset.plot === "trials") {
      place(figure, {
        scales: { x: { time: false }, y: { range: (_, low, high) => [0, high * 1.1 || 1] } },
        axes: [{ ...axis("trial", 44), values: whole }, y],
        series: [
          { label: "trial" },
          { label: "error", stroke: color("blue"), width: 0, value: share, points: { show: true, size: 6 } },
          { label: "best so far", stroke: color("accent"), width: 2, value: share, paths: uPlot.paths.stepped({ align: 1 }) },
        ],
      }, training.trials);
    } else {
      place(figure, {
        scales: { x: { time: false }, y: { range: (_, low, high) => [0, high * 1.1 || 1] } },
        axes: [axis("epochs", 44), y], legend: { show: false },
        series: [{}, ...training.curves.slice(1).map(() => ({ stroke: color("blue"), width: 1, spanGaps: true, points: points(3) }))],
      }, training.curves);
    }
  }
}

// Figures that a program reports; which there are is known only once they come. All are there before the
// first is drawn: how wide it is depends on how many stand beside it.
function drawCurves(group, { by, metrics }) {
  const figures = metrics.map(({ name }) => [...group.children].find((each) => each.dataset.plot === name) || addFigure(group, name));
  metrics.forEach(({ name, columns }, index) => place(figures[index], {
    scales: { x: { time: false } },
    axes: [axis(by === "step" ? "step" : "seconds since the first", 44), axis(name, 70)],
    series: [{ label: by }, { label: name, stroke: color("accent"), width: 2, points: points(30) }],
  }, columns));
}

function addFigure(group, name) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  figure.dataset.plot = caption.textContent = name;
  figure.append(caption);
  group.append(figure);
  return figure;
}

function drawRun(figures, run) {
  if (run.trials) return drawTraining(figures, run);
  const stepped = uPlot.paths.stepped({ align: 1 });
  const target = across("x", run.target_seconds, "bad");
  for (const figure of figures) {
    if (figure.dataset.plot === "executors") {
      // A driver that is not in charge has a line of its own, from its first report to its last.
      const others = run.others.map(({ application_id }) => ({ label: application_id, stroke: color("ink"), dash: [2, 3], width: 1, paths: stepped, spanGaps: true }));
      const ends = [run, ...run.others].flatMap(({ jobs }) => jobs[0]);
      place(figure, {
        scales: fromStart,
        axes: [axis("seconds since the start; dashed: the target", 44), { ...axis("executors", 46), values: whole }],
        series: [{ label: "at", value: seconds }, { label: "executors", stroke: color("blue"), fill: faint("blue"), width: 2, paths: stepped, spanGaps: true }, ...others],
        marks: [jobMarks(ends), target],
      }, others.length ? uPlot.join([run.executors, ...run.others.map((other) => other.executors)]) : run.executors);
    } else {
      place(figure, {
        scales: fromStart,
        axes: [axis("seconds since the start; dashed: the target", 44), axis("seconds left", 56)],
        series: [
          { label: "at", value: seconds },
          { label: "predicted", stroke: color("accent"), width: 2, value: seconds },
          { label: "from", stroke: faint("accent"), value: seconds },
          { label: "to", stroke: faint("accent"), value: seconds },
          { label: "real", stroke: color("ink"), dash: [4, 4], value: seconds },
        ],
        bands: [{ series: [3, 2], fill: faint("accent") }],
        marks: [target],
      }, run.remaining);
    }
  }
}

function drawWhatIf(figure) {
  const { target, chosen, columns } = JSON.parse(figure.dataset.whatIf);
  place(figure, {
    axes: [{ ...axis("executors", 44), values: whole }, axis("seconds", 60)],
    series: [
      { label: "executors" },
      { label: "runtime", stroke: color("accent"), width: 2, value: seconds, points: { show: true, size: 5 } },
      { label: "from", stroke: faint("accent"), value: seconds },
      { label: "to", stroke: faint("accent"), value: seconds },
    ],
    bands: [{ series: [3, 2], fill: faint("accent") }],
    marks: [across("x", chosen, "accent"), across("y", target, "bad")],
  }, columns);
}

const loads = new WeakMap(); // by group

async function load(group) {
  const state = loads.get(group) ?? { asked: 0, drawn: 0, isDone: false };
  loads.set(group, state);
  clearTimeout(state.again);
  const number = state.asked += 1;
  const isLast = !("live" in group.dataset);
  const found = await numbers(group.dataset.run);
  if (found && number > state.drawn) { // no later answer has come before it
    [state.drawn, state.isDone] = [number, isLast];
    if (found.metrics) drawCurves(group, found);
    else drawRun(group.querySelectorAll("[data-plot]"), found);
  } else if (!found && isLast && group.isConnected) {
    state.again = setTimeout(() => load(group), 1000 * RETRY_SECONDS);
  }
}

// Null where they cannot be had now.
async function numbers(address) {
  try {
    const answer = await fetch(address);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

export function drawRuns(within) {
  for (const group of within.querySelectorAll("[data-run]")) {
    if ("live" in group.dataset || !loads.get(group)?.isDone) load(group);
  }
  for (const figure of within.querySelectorAll("[data-what-if]")) drawWhatIf(figure);
}

function resize() {
  for (const figure of document.querySelectorAll("figure")) plots.get(figure)?.plot.setSize({ width: widthOf(figure), height: HEIGHT });
}

let resized;
window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(resize, 200); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const group of document.querySelectorAll("[data-run]")) load(group);
  for (const figure of document.querySelectorAll("[data-what-if]")) drawWhatIf(figure);
});
