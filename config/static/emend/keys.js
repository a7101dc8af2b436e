"use strict";
// Keys of the admin: an element with data-key="a" is pressed or focused by the key A.
// Everything works without this file.

const press = (element) => (element.matches("a, button") ? element.click() : element.focus());

const find = (key) =>
  document.querySelector(`[data-key="${CSS.escape(key)}"]`) ??
  (key === "/" ? document.getElementById("searchbar") : null);

const inField = (event, field) => {
  if (event.key === "Escape") field.blur();
  // "3 Spam or vandalism" is chosen by the key 3.
  const options = [...(field.options ?? [])];
  const numbered = options.find((option) => option.text.startsWith(`${event.key} `));
  if (numbered) field.value = numbered.value;
  if (event.key === "Enter" && field.dataset.enter) {
    event.preventDefault();
    field.form.querySelector(`button[value="${field.dataset.enter}"]`).click();
  }
};

document.addEventListener("keydown", (event) => {
  // A key that is held down must not decide one item after the other.
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.target.matches("textarea, select, input:not([type=checkbox])")) {
    inField(event, event.target);
    return;
  }
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
