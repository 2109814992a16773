// A driver's log as it is written: the last lines, a search in them, and whether to follow the end.
import { askForLogin, reasonOf } from "./troubles.js";

const MOST_LINES = 5000;
const LONGEST_PAUSE_SECONDS = 30;
const followed = new WeakSet();

export function followLogs(within) {
  for (const panel of within.querySelectorAll("[data-log]")) {
    if (!followed.has(panel)) { followed.add(panel); follow(panel); }
  }
}

function follow(panel) {
  const lines = panel.querySelector("pre");
  const wanted = panel.querySelector("[type=search]");
  const hits = panel.querySelector("output");
  const atEnd = panel.querySelector("[type=checkbox]");
  const status = panel.querySelector("[role=status]");
  let waiting = [], isAnew = false, hasEnded = false;
  let connection, again, pauseSeconds = 1, why;

  function matches(text) { return text.toLowerCase().includes(wanted.value.toLowerCase()); }

  function say(text) { if (status.textContent !== text) status.textContent = text; }

  function count() {
    const found = lines.querySelectorAll(":scope > :not([hidden])").length;
    hits.textContent = wanted.value ? `${found} ${found === 1 ? "line" : "lines"}` : "";
  }

  function flush() {
    if (!waiting.length) return;
    if (isAnew) lines.replaceChildren();
    isAnew = false;
    for (const text of waiting.slice(-MOST_LINES)) {
      const line = document.createElement("div");
      line.textContent = text || " ";
      line.hidden = !matches(text);
      lines.append(line);
    }
    waiting = [];
    while (lines.childElementCount > MOST_LINES) lines.firstChild.remove();
    if (atEnd.checked) lines.scrollTop = lines.scrollHeight;
    count();
  }

  const take = {
    // Many lines may come at once: they are put into the page together.
    log(text) {
      if (!waiting.length) requestAnimationFrame(flush);
      waiting.push(text);
      pauseSeconds = 1;
      say("");
    },
    end(text) { hasEnded = true; say(text); },
    problem(text) { why = JSON.parse(text).detail; },
  };

  // The last lines come again each time: what is shown stays until the first of them does.
  async function read() {
    connection = new AbortController();
    const { signal } = connection;
    [waiting, isAnew, why] = [[], true, "The connection was lost."];
    try {
      const answer = await fetch(panel.dataset.log, { signal });
      if (answer.status === 401) askForLogin();
      if (answer.ok) await eachEvent(answer.body, (name, data) => take[name]?.(data));
      else why = await reasonOf(answer);
    } catch { /* no answer, or no end of it */ }
    if (hasEnded || signal.aborted) return;
    say(`${why} Trying again.`);
    again = setTimeout(read, 1000 * pauseSeconds);
    pauseSeconds = Math.min(2 * pauseSeconds, LONGEST_PAUSE_SECONDS);
  }

  // A browser has few connections to a service, which tabs that nobody sees leave to others.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(again);
    connection?.abort();
    if (!document.hidden && !hasEnded) read();
  });
  if (!document.hidden) read();
  wanted.addEventListener("input", () => {
    for (const line of lines.children) line.hidden = !matches(line.textContent);
    count();
  });
}

// Not by EventSource, which does not say why it was refused.
async function eachEvent(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const events = (rest + piece.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const field = (name) => event.split("\n").filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      take(field("event"), field("data"));
    }
  }
}
