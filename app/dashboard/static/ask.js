// Asking a model from its page: images may be dropped and are asked one by one, pairs are added, and the answers
// and what is wrong come as HTML of the service, which is put in its place here.
import { takeDrops } from "./drops.js";
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
  takeDrops(form, (files, place) => {
    const onto = images.find((input) => input.closest(".field").contains(place)) || images[0];
    onto.files = files;
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
  const files = split ? [...split.files] : [null];
  const button = form.querySelector("[data-send]");
  const status = form.querySelector("[role=status]");
  let done = 0, refused = 0;
  const rest = [...files];
  // No more images are decoded at a time than are asked.
  async function work() {
    while (rest.length) {
      const file = rest.shift();
      const card = file && newCard(file);
      const [isTaken] = await Promise.all([askOne(form, split, file, card), card && showSmall(file, card.querySelector(".picture"))]);
      done += 1;
      if (!isTaken) refused += 1;
      if (files.length > 1) status.textContent = `${done - refused} of ${files.length} answered${refused ? `, ${refused} not` : ""}.`;
      document.body.dispatchEvent(new CustomEvent("asked"));
    }
  }
  button.disabled = true;
  status.textContent = "Asking …";
  for (const old of [...document.getElementById("answers").children].slice(MOST_ANSWERS)) old.remove();
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, work));
  button.disabled = false;
  if (files.length === 1) status.textContent = refused ? "It was not answered." : "";
  if (!refused) for (const each of images) each.value = "";
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
async function askOne(form, split, file, card) {
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
  } else document.getElementById("answers").prepend(shown);
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
  document.getElementById("answers").prepend(card);
  return card;
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
    image.close();
    place.append(Object.assign(document.createElement("img"), { src: canvas.toDataURL(), alt: file.name }));
  } catch {
    place.replaceChildren();
  }
}
