// Local times, plots, the driver's log and small comforts; everything else is HTML from the service.
import { drawRuns } from "./plots.js";
import { followLogs } from "./log.js";

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localTimes(within) {
  for (const each of within.querySelectorAll("time[datetime]")) {
    const text = local.format(new Date(each.dateTime));
    if (each.textContent !== text) each.textContent = text;
  }
}

function refresh() {
  localTimes(document);
  drawRuns(document);
  followLogs(document);
}

function trouble(text) {
  document.getElementById("troubles").textContent = text;
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});
// What is told at length opens for whoever points at it, and closes again unless it was clicked.
const pointed = new WeakSet();
document.addEventListener("mouseover", (event) => {
  const details = event.target.closest?.("[data-hover] > summary")?.parentElement;
  if (!details || details.open) return;
  setTimeout(() => {
    if (details.open || !details.matches(":hover")) return;
    details.open = true;
    pointed.add(details);
    details.addEventListener("mouseleave", () => { if (pointed.has(details)) details.open = false; }, { once: true });
  }, 250);
});
document.addEventListener("click", (event) => {
  const details = event.target.closest("[data-hover]");
  if (details && pointed.delete(details) && details.open) event.preventDefault();
});
document.addEventListener("htmx:after:swap", () => { trouble(""); refresh(); });
document.addEventListener("htmx:error", () => trouble("The service does not answer; what you see may be old. Trying again."));
// A live part that cannot be had leaves what is there.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  if (ctx?.response?.status >= 500) { event.preventDefault(); trouble(`The service answered ${ctx.response.status}; what you see may be old. Trying again.`); }
});
refresh();
