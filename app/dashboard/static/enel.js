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
document.addEventListener("htmx:after:swap", () => { trouble(""); refresh(); });
document.addEventListener("htmx:error", () => trouble("The service does not answer; what you see may be old. Trying again."));
// A live part that cannot be had leaves what is there.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  if (ctx?.response?.status >= 500) { event.preventDefault(); trouble(`The service answered ${ctx.response.status}; what you see may be old. Trying again.`); }
});
refresh();
