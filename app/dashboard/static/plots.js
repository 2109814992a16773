// Plots of a run, by uPlot; colors are those of the page, light or dark.

const plots = new WeakMap();

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

function place(figure, options, data) {
  plots.get(figure)?.destroy();
  const width = figure.clientWidth - 20;
  const plot = new uPlot({
    width, height: 260, scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.08] } },
    cursor: { drag: { x: true, y: false } }, ...options,
  }, data, figure);
  plots.set(figure, plot);
}

// A line across the plot at a moment, such as the runtime target.
function line(seconds, name) {
  return (plot) => {
    const x = plot.valToPos(seconds, "x", true);
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = color(name);
    ctx.setLineDash([6, 5]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  };
}

function level(value, name) {
  return (plot) => {
    const y = plot.valToPos(value, "y", true);
    if (y < plot.bbox.top) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = color(name);
    ctx.setLineDash([6, 5]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
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
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x, bbox.top + bbox.height - 10);
    }
    ctx.stroke();
    ctx.restore();
  };
}

// From the start of a run, so that plots of it stand above each other.
const fromStart = { x: { time: false, range: (_, low, high) => [0, Math.max(high, 1)] }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.08] } };

// Of axes that count something.
const whole = (_, splits) => splits.map((value) => (Number.isInteger(value) ? String(value) : ""));
const seconds = (_, value) => (value == null ? "–" : `${value.toFixed(1)} s`);

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
        series: [{}, ...training.curves.slice(1).map(() => ({ stroke: color("blue"), width: 1, spanGaps: true, points: { show: training.curves[0].length < 3 } }))],
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
    series: [{ label: by }, { label: name, stroke: color("accent"), width: 2, points: { show: columns[0].length < 30, size: 5 } }],
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
  const target = line(run.target_seconds, "bad");
  for (const figure of figures) {
    if (figure.dataset.plot === "executors") {
      // A driver that is not in charge has a line of its own, from its first report to its last.
      const others = run.others.map(({ application_id }) => ({ label: application_id, stroke: color("ink"), dash: [2, 3], width: 1, paths: stepped, spanGaps: true }));
      const ends = [run, ...run.others].flatMap(({ jobs }) => jobs[0]);
      place(figure, {
        scales: fromStart,
        axes: [axis("seconds since the start; dashed: the target", 44), { ...axis("executors", 46), values: whole }],
        series: [{ label: "at", value: seconds }, { label: "executors", stroke: color("blue"), fill: faint("blue"), width: 2, paths: stepped, spanGaps: true }, ...others],
        hooks: { draw: [jobMarks(ends), target] },
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
        hooks: { draw: [target] },
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
    hooks: { draw: [line(chosen, "accent"), level(target, "bad")] },
  }, columns);
}

async function load(group) {
  try {
    const answer = await fetch(group.dataset.run);
    if (!answer.ok) return;
    const found = await answer.json();
    if (found.metrics) drawCurves(group, found);
    else drawRun(group.querySelectorAll("[data-plot]"), found);
  } catch { /* the next round tries again */ }
}

const loaded = new WeakMap();

export function drawRuns(within) {
  for (const group of within.querySelectorAll("[data-run]")) {
    const live = "live" in group.dataset;
    if (loaded.get(group) === "final") continue;
    loaded.set(group, live ? "live" : "final");
    load(group);
  }
  for (const figure of within.querySelectorAll("[data-what-if]")) {
    if (!plots.has(figure)) drawWhatIf(figure);
  }
}

function again() {
  for (const figure of document.querySelectorAll("[data-what-if]")) drawWhatIf(figure);
  for (const group of document.querySelectorAll("[data-run]")) load(group);
}

let resized;
window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(again, 200); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
