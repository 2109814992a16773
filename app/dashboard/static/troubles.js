// What stands in the corner of a page while something is wrong: the latest of what was asked for in vain.

const troubles = new Map(); // by path of what was asked for
let isLoggedOut = false;

function pathOf(address) { return new URL(address, document.baseURI).pathname; }

// It stands there until this address answers, or somebody closes it.
export function trouble(address, text) {
  const path = pathOf(address);
  if (troubles.get(path) === text) return; // it was read aloud
  troubles.delete(path);
  troubles.set(path, text);
  show();
}

// In a tab of its own: what was typed here stays.
export function askForLogin() {
  if (isLoggedOut) return;
  isLoggedOut = true;
  show();
}

export function answered(address) {
  const wasWrong = troubles.delete(pathOf(address)) || isLoggedOut;
  isLoggedOut = false;
  if (wasWrong) show();
}

// Why the service, or what stands before it, refuses.
export async function reasonOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail || problem.title || `The service answered ${answer.status}.`;
}

function show() {
  const corner = document.getElementById("troubles");
  if (!isLoggedOut && !troubles.size) { corner.replaceChildren(); return; }
  const link = Object.assign(document.createElement("a"), { href: `${document.body.dataset.root}/login`, target: "_blank", textContent: "Log in" });
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
  close.addEventListener("click", () => { troubles.clear(); isLoggedOut = false; show(); });
  const said = isLoggedOut ? ["Your session has ended. ", link, ", then go on here."] : [[...troubles.values()].at(-1)];
  corner.replaceChildren(...said, " ", close);
}
