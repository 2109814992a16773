// Asking a model from its page: images may be dropped and are asked one by one, pairs are added, and the answers
// and what is wrong come as HTML of the service, which is put in its place here.
import { askForLogin } from "./troubles.js";

const AT_ONCE = 3;
const SMALL_PIXELS = 96;
const MOST_ANSWERS = 200;
const taken = new WeakSet();

export function takeQuestions(within) {
  for (const form of within.querySelectorAll("form[data-ask]")) {
    if (!taken.has(form)) { taken.add(form); take(form); }
  }
}

function take(form) {
  const images = [...form.querySelectorAll("[type=file]")];
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.hasAttribute("data-add")) addPair(form);
    else askAll(form, images);
  });
  if (!images.length) return;
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    const onto = images.find((input) => input.closest(".field").contains(event.target)) || images[0];
    onto.files = event.dataTransfer.files;
    form.requestSubmit(form.querySelector("[data-send]"));
  });
}

function addPair(form) {
  const last = [...form.querySelectorAll(".pair")].at(-1);
  const pair = last.cloneNode(true);
  const number = Number(last.querySelector("[name]").name.match(/\d+$/)[0]) + 1;
  for (const each of pair.querySelectorAll("*")) {
    for (const name of ["id", "name", "for", "aria-describedby"]) {
      if (each.hasAttribute(name)) each.setAttribute(name, each.getAttribute(name).replace(/\d+$/, number));
    }
    each.removeAttribute("aria-invalid");
    if (each.matches("input")) each.value = "";
    if (each.matches(".note")) { each.textContent = ""; each.className = "note"; }
  }
  last.after(pair);
  pair.querySelector("input").focus();
}

// One request for each image, so that each has its answer as soon as it can; the field with the most is split.
async function askAll(form, images) {
  if (!isTyped(form)) return;
  const split = images.reduce((most, each) => (each.files.length > (most?.files.length ?? 0) ? each : most), null);
  const waiting = (split ? [...split.files] : [null]).map((file) => ({ file, card: file && newCard(file) }));
  const button = form.querySelector("[data-send]");
  const status = form.querySelector("[role=status]");
  let done = 0, isRefused = false;
  const rest = [...waiting];
  async function work() {
    for (let next = rest.shift(); next; next = rest.shift()) {
      isRefused = !(await askOne(form, split, next)) || isRefused;
      done += 1;
      if (waiting.length > 1) status.textContent = `${done} of ${waiting.length} answered.`;
      document.body.dispatchEvent(new CustomEvent("asked"));
    }
  }
  button.disabled = true;
  status.textContent = "Asking …";
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, waiting.length) }, work));
  button.disabled = false;
  if (waiting.length === 1) status.textContent = isRefused ? "It was not answered." : "";
  if (!isRefused) for (const each of images) each.value = "";
}

// Whether what stands in the form can be sent: of what is no number at all the browser sends nothing.
function isTyped(form) {
  const odd = [...form.elements].filter((each) => each.validity?.badInput);
  for (const each of odd) mark(each, "Must be a number.");
  odd[0]?.focus();
  return !odd.length;
}

function mark(input, text) {
  input.setAttribute("aria-invalid", "true");
  const note = document.getElementById(input.getAttribute("aria-describedby"));
  Object.assign(note, { textContent: text, className: "note bad" });
}

// Whether there is nothing wrong with what was typed.
async function askOne(form, split, { file, card }) {
  const body = new FormData(form);
  if (split) body.set(split.name, file, file.name);
  let answer, text;
  try {
    answer = await fetch(form.action, { method: "POST", headers: { "HX-Request": "true" }, body });
    text = await answer.text();
  } catch {
    return refuse(form, card, "The service does not answer; ask again.");
  }
  if (answer.status === 401) askForLogin();
  if (!(answer.headers.get("Content-Type") || "").startsWith("text/html")) return refuse(form, card, text || "It was not answered.");
  const part = new DOMParser().parseFromString(text, "text/html");
  takeNotes(form, part);
  const found = part.querySelector("#answers > li");
  const refusal = part.querySelector(".refusal").textContent.trim();
  if (!found) return refuse(form, card, refusal || (card ? "It was not asked: see what is wrong in the form." : ""));
  const shown = document.adoptNode(found);
  if (card) {
    shown.querySelector(".picture").replaceWith(card.querySelector(".picture")); // it may still be drawn
    card.replaceWith(shown);
  } else addAnswer(shown);
  htmx.process(shown);
  form.closest("section").querySelector(".refusal").replaceChildren();
  return !part.querySelector("form .note.bad");
}

function refuse(form, card, text) {
  if (card) {
    const why = document.createElement("p");
    Object.assign(why, { className: "bad", textContent: text });
    card.querySelector(".waits").replaceWith(why);
  } else {
    const why = document.createElement("p");
    Object.assign(why, { className: "problem", textContent: text });
    form.closest("section").querySelector(".refusal").replaceChildren(...(text ? [why] : []));
  }
  return false;
}

// What is wrong stands beside its input, and what was wrong before no more.
function takeNotes(form, part) {
  for (const note of part.querySelectorAll("form .note[id]")) {
    const here = document.getElementById(note.id);
    if (here) Object.assign(here, { textContent: note.textContent, className: note.className });
  }
  for (const input of form.querySelectorAll("[aria-describedby]")) {
    const isWrong = document.getElementById(input.getAttribute("aria-describedby"))?.classList.contains("bad");
    if (isWrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  form.querySelector("[aria-invalid]")?.focus();
}

function newCard(file) {
  const card = document.createElement("li");
  card.className = "answer";
  card.innerHTML = '<div class="picture"></div><div class="told"><p class="band"></p><p class="waits">…</p></div>';
  card.querySelector(".band").textContent = file.name;
  showSmall(file, card.querySelector(".picture"));
  addAnswer(card);
  return card;
}

function addAnswer(card) {
  const answers = document.getElementById("answers");
  answers.prepend(card);
  while (answers.childElementCount > MOST_ANSWERS) answers.lastElementChild.remove();
}

// As the browser sees it; what it cannot read has no picture.
async function showSmall(file, place) {
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, SMALL_PIXELS / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, image.width * scale);
    canvas.height = Math.max(1, image.height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    place.append(Object.assign(document.createElement("img"), { src: canvas.toDataURL(), alt: file.name }));
  } catch {
    place.replaceChildren();
  }
}
