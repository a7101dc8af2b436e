"use strict";
// Keys of the admin: an element with data-key="a" is pressed or focused by the key A.
// Everything works without this file.

const press = (element) => (element.matches("a, button, [data-press]") ? element.click() : element.focus());

const find = (key) =>
  document.querySelector(`[data-key="${CSS.escape(key)}"]`) ??
  (key === "/" ? document.getElementById("searchbar") : null);

const enter = (event, field) => {
  event.preventDefault();
  field.form.querySelector(`button[value="${field.dataset.enter}"]`).click();
};

const inField = (event, field) => {
  if (event.key === "Escape") field.blur();
  // "3 Spam or vandalism" is chosen by the key 3.
  const options = [...(field.options ?? [])];
  const numbered = options.find((option) => option.text.startsWith(`${event.key} `));
  if (numbered) field.value = numbered.value;
  if (event.key === "Enter" && field.dataset.enter && !field.matches("textarea")) enter(event, field);
};

document.addEventListener("keydown", (event) => {
  const isSent = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (isSent && event.target.matches("textarea[data-enter]")) enter(event, event.target);
  // A key that is held down must not decide one item after the other.
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.target.matches("textarea, select, input:not([type=checkbox], [type=radio])")) {
    inField(event, event.target);
    return;
  }
  if (localStorage.getItem("single-keys") === "off" && event.key !== "Escape") return;
  const element = find(event.key.toLowerCase());
  if (!element) return;
  event.preventDefault();
  press(element);
});

for (const button of document.querySelectorAll("[data-opens]")) {
  button.hidden = false;
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(button.dataset.copy);
    button.classList.add("copied");
  });
}

// What a decision needs is asked for before it is sent: refused, it would lose what was chosen.
// data-required-for="reject other" is needed where each of these is chosen, or its button pressed.
for (const kind of ["change", "click"]) {
  document.addEventListener(kind, ({ target }) => {
    const used = target.closest("button, input, select");
    const needed = used?.form?.querySelectorAll("[data-required-for]") ?? [];
    const chosen = [used, ...(used?.form?.querySelectorAll("select") ?? [])].map((one) => one?.value);
    for (const field of needed) {
      field.required = field.dataset.requiredFor.split(" ").every((name) => chosen.includes(name));
      field.form.noValidate = false; // the admin's lists have it switched off
    }
  });
}

// A form is sent once, however often its key is pressed.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
});

// Who does not want single letters to do anything says so in the list of keys.
for (const choice of document.querySelectorAll("[data-single-keys]")) {
  choice.closest("p").hidden = false;
  choice.checked = localStorage.getItem("single-keys") !== "off";
  choice.addEventListener("change", () => {
    localStorage.setItem("single-keys", choice.checked ? "on" : "off");
  });
}

// What was done can be undone for some seconds: count them, then take the bar away.
for (const bar of document.querySelectorAll("[data-seconds]")) {
  let left = Number(bar.dataset.seconds);
  const count = setInterval(() => {
    left -= 1;
    const told = bar.querySelector("[data-left]");
    if (told) told.textContent = `${left} s`;
    if (left > 0 || bar.contains(document.activeElement)) return;
    clearInterval(count);
    bar.remove();
  }, 1000);
}

// An open page keeps its item before this moderator; one that nobody looks at lets it go.
for (const form of document.querySelectorAll("[data-claim]")) {
  const headers = { "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value };
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(form.dataset.claim, { method: "POST", headers }).catch(() => null);
    form.querySelector("[data-lost]").hidden = answer?.status !== 409;
  }, 60_000);
}
