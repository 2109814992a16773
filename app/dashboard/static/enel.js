// Times, plots, the driver's log and small comforts; everything else is HTML from the service.
import { takeQuestions } from "./ask.js";
import { drawRuns } from "./plots.js";
import { followLogs } from "./log.js";
import { showTimes } from "./times.js";
import { answered, askForLogin, trouble } from "./troubles.js";
import { takeUploads } from "./upload.js";

const COPY_SECONDS = 2;
const RETRY_SECONDS = 2;

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
document.addEventListener("htmx:after:swap", (event) => { answered(event.detail.ctx.request.action); refresh(); });
// What asks by itself asks again anyway; this is for what somebody has typed or opened.
const retries = new WeakMap();
function retry(source, seconds = RETRY_SECONDS) {
  if (!source.hasAttribute("data-retry")) return;
  clearTimeout(retries.get(source));
  retries.set(source, setTimeout(() => htmx.trigger(source, "retry"), 1000 * seconds));
}
function failed({ sourceElement, request }, text) {
  const asksAgain = sourceElement.matches("[data-retry], [hx-trigger*=every]");
  trouble(request.action, asksAgain ? `${text} Trying again.` : text);
}
document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx) return; // none of an answer
  failed(ctx, "The service does not answer; what you see may be old.");
  retry(ctx.sourceElement);
});
// A live part that cannot be had leaves what is there.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  const { status, headers } = ctx.response;
  if (status < 400) return;
  event.preventDefault();
  if (status === 401) askForLogin();
  else if (status >= 500) failed(ctx, `The service answered ${status}; what you see may be old.`);
  else if (status === 429) failed(ctx, ctx.text);
  else trouble(ctx.request.action, ctx.text);
  if (status === 401 || status === 429 || status >= 500) retry(ctx.sourceElement, Number(headers.get("Retry-After")) || undefined);
});
refresh();
