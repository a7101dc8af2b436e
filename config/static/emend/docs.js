"use strict";
// Swagger UI has a dark side but no eye for the system's: tell it.
const system = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", system.matches);
system.addEventListener("change", follow);
follow();
