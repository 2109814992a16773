// What stands in the corner of a page while something is wrong.

export function trouble(text) {
  document.getElementById("troubles").textContent = text;
}

// In a tab of its own: what was typed here stays.
export function askForLogin() {
  const link = document.createElement("a");
  Object.assign(link, { href: `${document.body.dataset.root}/login`, target: "_blank", textContent: "Log in" });
  document.getElementById("troubles").replaceChildren("Your session has ended. ", link, ", then go on here.");
}
