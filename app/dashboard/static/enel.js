// Local times, plots, the driver's log and small comforts; everything else is HTML from the service.
import { takeQuestions } from "./ask.js";
import { drawRuns } from "./plots.js";
import { followLogs } from "./log.js";
import { showTimes } from "./times.js";
import { askForLogin, trouble } from "./troubles.js";
import { takeUploads } from "./upload.js";

const COPY_SECONDS = 2;

function refresh() {
  showTimes(document);
  drawRuns(document);
  followLogs(document);
  takeUploads(document);
  takeQuestions(document);
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
// Where the page did not come by https, there is no clipboard.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    window.getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1000 * COPY_SECONDS);
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
// What asks by itself asks again anyway; this is for what somebody has typed.
function retry(source) {
  if (source?.hasAttribute("data-retry")) setTimeout(() => htmx.trigger(source, "retry"), 2000);
}
document.addEventListener("htmx:error", (event) => {
  trouble("The service does not answer; what you see may be old. Trying again.");
  retry(event.detail.ctx?.sourceElement);
});
// A live part that cannot be had leaves what is there.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  const status = ctx?.response?.status;
  if (status >= 400) event.preventDefault();
  if (status === 401) askForLogin();
  else if (status >= 400 && status < 500) trouble(ctx.text);
  if (status >= 500) { trouble(`The service answered ${status}; what you see may be old. Trying again.`); retry(ctx.sourceElement); }
});
refresh();
