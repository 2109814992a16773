// A driver's log as it is written: the last lines, a search in them, and whether to follow the end.

const MOST_LINES = 5000;
const followed = new WeakSet();

export function followLogs(within) {
  for (const panel of within.querySelectorAll("[data-log]")) {
    if (!followed.has(panel)) { followed.add(panel); follow(panel); }
  }
}

function follow(panel) {
  const lines = panel.querySelector("pre");
  const wanted = panel.querySelector("[type=search]");
  const atEnd = panel.querySelector("[type=checkbox]");
  const status = panel.querySelector("[role=status]");
  const stream = new EventSource(panel.dataset.log);
  let waiting = [];

  function matches(text) { return text.toLowerCase().includes(wanted.value.toLowerCase()); }

  function flush() {
    for (const text of waiting) {
      const line = document.createElement("div");
      line.textContent = text || " ";
      line.hidden = !matches(text);
      lines.append(line);
    }
    waiting = [];
    while (lines.childElementCount > MOST_LINES) lines.firstChild.remove();
    if (atEnd.checked) lines.scrollTop = lines.scrollHeight;
  }

  // Many lines may come at once: they are put into the page together.
  stream.addEventListener("log", (event) => {
    if (!waiting.length) requestAnimationFrame(flush);
    waiting.push(event.data);
    if (!status.dataset.ended) status.textContent = "";
  });
  stream.addEventListener("end", () => { status.dataset.ended = "yes"; status.textContent = "The application has ended."; stream.close(); });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) status.textContent = "There is no log here yet.";
    else { status.textContent = "The connection was lost; trying again."; lines.replaceChildren(); waiting = []; }
  });
  wanted.addEventListener("input", () => {
    let found = 0;
    for (const line of lines.children) { line.hidden = !matches(line.textContent); found += line.hidden ? 0 : 1; }
    status.textContent = wanted.value ? `${found} ${found === 1 ? "line" : "lines"}` : "";
  });
}
