// Files into a workspace, as the API takes them: one by one as they are, archives to be unpacked there.
import { takeDrops } from "./drops.js";
import { reasonOf } from "./troubles.js";

// What ends with .gz alone is a file of its own, such as compressed data.
const ARCHIVES = { ".zip": "application/zip", ".tar": "application/x-tar", ".tar.gz": "application/gzip", ".tgz": "application/gzip", ".tar.bz2": "application/x-bzip2" };
const LEFT_OUT = /(^|\/)(\.git|__pycache__|\.venv)\//;
const taken = new WeakSet();

export function takeUploads(within) {
  for (const form of within.querySelectorAll("[data-upload]")) {
    if (!taken.has(form)) { taken.add(form); take(form); }
  }
}

function take(form) {
  const inputs = [...form.querySelectorAll("[type=file]")];
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const files = inputs.flatMap((input) => [...input.files]);
    if (await upload(form, files)) for (const input of inputs) input.value = "";
  });
  takeDrops(form, (dropped) => upload(form, [...dropped]));
}

async function upload(form, files) {
  const status = form.querySelector("[role=status]");
  const troubles = form.querySelector(".troubles");
  const button = form.querySelector("button");
  const folder = form.elements.folder.value.trim().replace(/^\.?\/+|\/+$/g, "").replace(/^\.$/, "");
  const wanted = files.filter((file) => !LEFT_OUT.test(file.webkitRelativePath));
  troubles.replaceChildren();
  if (!wanted.length) { status.textContent = "Choose a file first."; return false; }
  button.disabled = true;
  let stored = 0;
  for (const file of wanted) {
    status.textContent = `${stored} of ${wanted.length}: ${file.name} …`;
    const trouble = await send(form.dataset.upload, folder, file);
    if (!trouble) { stored += 1; continue; }
    const line = document.createElement("li");
    line.textContent = `${file.name}: ${trouble}`;
    troubles.append(line);
  }
  button.disabled = false;
  status.textContent = `${stored} of ${wanted.length} ${wanted.length === 1 ? "file" : "files"} stored.`;
  if (stored) document.body.dispatchEvent(new CustomEvent("files-changed"));
  return stored === wanted.length;
}

// What is wrong with it, as the service says; empty: nothing.
async function send(workspace, folder, file) {
  const ending = Object.keys(ARCHIVES).find((each) => file.name.toLowerCase().endsWith(each));
  const isArchive = ending && !file.webkitRelativePath;
  const path = [folder, file.webkitRelativePath || file.name].filter(Boolean).join("/");
  const address = isArchive
    ? `${workspace}/archive?folder=${encodeURIComponent(folder)}`
    : `${workspace}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
  const type = isArchive ? ARCHIVES[ending] : "application/octet-stream";
  try {
    const answer = await fetch(address, { method: isArchive ? "POST" : "PUT", headers: { "Content-Type": type }, body: file });
    return answer.ok ? "" : await reasonOf(answer);
  } catch {
    return "The service does not answer, or the file cannot be read (a folder has an input of its own).";
  }
}
