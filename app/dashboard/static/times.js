// Times, which come in UTC: as clocks here show them, or as they came, where somebody likes that better.

const KEPT = "times";
const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function showTimes(within) {
  const isUtc = localStorage.getItem(KEPT) === "UTC";
  for (const each of within.querySelectorAll("time[datetime]")) {
    const text = isUtc ? each.title : local.format(new Date(each.dateTime));
    if (each.textContent !== text) each.textContent = text;
  }
  for (const each of within.querySelectorAll("[data-utc]")) {
    each.hidden = false;
    each.setAttribute("aria-pressed", String(isUtc));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-utc]");
  if (!button) return;
  localStorage.setItem(KEPT, button.getAttribute("aria-pressed") === "true" ? "" : "UTC");
  showTimes(document);
});
