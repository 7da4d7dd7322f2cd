// What the page is made with: elements, formats, the deployment's clock, requests. Text from the server is only ever set as text.

export const NUMBER = new Intl.NumberFormat("en");
export const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const at = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "onclick") node.addEventListener("click", value);
    else if (name === "tone") node.style.setProperty("--tone", value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
export const words = (name) => String(name).replaceAll("_", " ");
export const title = (name) => words(name).replace(/^./, (letter) => letter.toUpperCase());
export const short = (id) => String(id).slice(0, 8);
export const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");
export const coordinate = (value) => (typeof value === "number" ? value.toFixed(5) : "–");

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// ---------------------------------------------------------------- the deployment's clock
export const clock = { nowMs: Date.now(), speed: 1, at: performance.now() };
export const nowMs = () => clock.nowMs + (performance.now() - clock.at) * clock.speed;
export const hhmmss = (ms) => new Date(ms).toISOString().slice(11, 19);
setInterval(() => {
  at("clock").textContent = `${new Date(nowMs()).toISOString().slice(0, 19).replace("T", " ")} UTC${clock.speed === 1 ? "" : ` · ×${clock.speed}`}`;
  for (const node of document.querySelectorAll("[data-since]")) node.textContent = span((nowMs() - Number(node.dataset.since)) / 1000);
}, 1000);

// ---------------------------------------------------------------- talking to the gateway
const TOKEN = "fleetpulse.token";
let token = null; // kept until the tab is closed; sent as a header alone, so that no page makes a browser send it
try { token = sessionStorage.getItem(TOKEN); } catch { /* storage may be forbidden */ }
export function signOut() {
  try { sessionStorage.removeItem(TOKEN); } catch { /* the same */ }
  location.reload();
}
// Whom the token speaks of, to be shown; null without one. The gateway checks it, not this.
export function subject() {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).sub;
  } catch { return null; }
}
export async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401 && !at("login").open) {
    at("login-why").textContent = token ? (await answer.clone().json().catch(() => ({}))).detail || "" : "";
    at("login").showModal();
  }
  return answer;
}
at("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try { sessionStorage.setItem(TOKEN, at("login-token").value.trim()); } catch { at("login-why").textContent = "The browser must let this page keep it: session storage is off."; return; }
  location.reload();
});
export async function ask(path, options) {
  const answer = await send(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || `${answer.status} ${answer.statusText}`);
  return body;
}
let toastTimer;
export function toast(text) {
  if (at("login").open) return; // it says enough
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").hidden = true; }, 6000);
}
export function repeat(work, everyMs) {
  let running = false;
  const run = async () => {
    if (running || document.hidden) return;
    running = true;
    try { await work(); } catch { /* the stream's state says that the gateway is away */ } finally { running = false; }
  };
  run();
  setInterval(run, everyMs);
  document.addEventListener("visibilitychange", run);
  return run;
}
export function soon(work, waitMs = 300) {
  let timer = null;
  return () => { timer ??= setTimeout(() => { timer = null; work(); }, waitMs); };
}
export function chips(box, names, chosen, choose) {
  box.replaceChildren(...names.map((name) => el("button", { class: "chip", type: "button", "aria-pressed": String(name === chosen), onclick: () => choose(name) }, title(name))));
}
