// The map of one city: outlines as configured and every vehicle by state, projected here; no tiles.
import { NUMBER, ask, at, chips, el, toast, words } from "./dom.js";

const STATES = ["available", "reserved", "on_trip", "stopped", "non_operational", "non_contactable", "missing", "removed", "elsewhere"];
let outlines = [], positions = null, city = null, counts = {}, targets = [], places = [];
const hiddenStates = new Set(["removed"]);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function project(outline, width, height) {
  const service = outline.zones.filter((zone) => zone.kind === "service_area");
  const points = (service.length ? service : outline.zones).flatMap((zone) => zone.ring);
  const stretch = Math.cos((outline.centre_latitude_deg * Math.PI) / 180);
  const xs = points.map((p) => p[0] * stretch), ys = points.map((p) => p[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 32) / (x1 - x0 || 1), (height - 32) / (y1 - y0 || 1));
  const left = (width - scale * (x1 - x0)) / 2, top = (height - scale * (y1 - y0)) / 2;
  return { to: (lon, lat) => [left + scale * (lon * stretch - x0), top + scale * (y1 - lat)], from: (x, y) => [((x - left) / scale + x0) / stretch, y1 - (y - top) / scale], scale };
}
function draw() {
  const canvas = at("map"), box = canvas.parentElement.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const outline = outlines.find((o) => o.city === city), context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, box.width, box.height);
  places = [];
  if (!outline) return;
  const map = project(outline, box.width, box.height);
  const order = ["jurisdiction", "service_area", "no_go"];
  for (const zone of [...outline.zones].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))) {
    context.beginPath();
    zone.ring.forEach(([lon, lat], i) => { const [x, y] = map.to(lon, lat); if (i) context.lineTo(x, y); else context.moveTo(x, y); });
    context.closePath();
    context.lineWidth = 1;
    context.setLineDash(zone.kind === "jurisdiction" ? [4, 4] : []);
    context.strokeStyle = zone.kind === "no_go" ? colour("no-go") : colour("map-line");
    context.fillStyle = zone.kind === "no_go" ? colour("no-go") : colour("map-area");
    context.globalAlpha = zone.kind === "no_go" ? 0.12 : 1;
    if (zone.kind !== "jurisdiction") context.fill();
    context.globalAlpha = zone.kind === "no_go" ? 0.6 : 1;
    context.stroke();
    context.globalAlpha = 1;
  }
  context.setLineDash([]);
  if (!positions) return;
  const code = positions.cities.indexOf(city), tones = positions.vehicle_states.map(colour), n = positions.city.length;
  const shown = positions.vehicle_states.map((name) => !hiddenStates.has(name));
  const here = [];
  for (let i = 0; i < n; i++) if (positions.city[i] === code && shown[positions.vehicle_state[i]]) here.push(i);
  const radius = here.length > 8000 ? 1.3 : here.length > 2000 ? 2 : here.length > 600 ? 2.8 : 3.6;
  for (let state = positions.vehicle_states.length - 1; state >= 0; state--) {
    context.fillStyle = tones[state];
    context.globalAlpha = 0.85;
    for (const i of here) {
      if (positions.vehicle_state[i] !== state) continue;
      const [x, y] = map.to(positions.longitude_deg[i], positions.latitude_deg[i]);
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
      places.push([x, y, i]);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = colour("critical");
  context.lineWidth = 1.5;
  let alerted = 0;
  for (const [x, y, i] of places) {
    if (!positions.alerted[i]) continue;
    alerted++;
    context.beginPath();
    context.arc(x, y, radius + 3, 0, 7);
    context.stroke();
  }
  const wanted = targets.filter((target) => target.city === city);
  drawTargets(context, map, wanted);
  at("map-note").textContent = `${NUMBER.format(here.length)} vehicles${alerted ? ` · ${NUMBER.format(alerted)} with an alert (ringed)` : ""}${wanted.length ? ` · ${NUMBER.format(wanted.length)} zones to act on` : ""}`;
}
// A zone to act on: its priority in a square, filled for moves, hollow for swaps.
function drawTargets(context, map, wanted) {
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 2;
  for (const target of [...wanted].reverse()) {
    const [x, y] = map.to(target.zone_longitude_deg, target.zone_latitude_deg), hollow = target.kind === "swap";
    context.beginPath();
    context.roundRect(x - 9, y - 9, 18, 18, 5);
    context.fillStyle = colour(hollow ? "card" : "accent");
    context.fill();
    context.strokeStyle = colour(hollow ? "accent" : "card");
    context.stroke();
    context.fillStyle = colour(hollow ? "accent" : "accent-ink");
    context.fillText(String(target.priority), x, y + 0.5);
  }
}
const LARGE = 10000, LARGE_MS = 15000;
let drawnAt = 0;
export async function refreshMap() {
  if (positions && positions.city.length > LARGE && performance.now() - drawnAt < LARGE_MS) return;
  drawnAt = performance.now();
  positions = await ask("/v1/map");
  draw();
}
function legend() {
  const here = counts[city] || {};
  at("legend").replaceChildren(...STATES.map((name) => el("button", { class: "state", type: "button", tone: `var(--${name})`, "aria-pressed": String(!hiddenStates.has(name)), title: "Show or hide on the map",
    onclick: () => { if (!hiddenStates.delete(name)) hiddenStates.add(name); legend(); draw(); } }, el("i"), words(name), el("b", {}, NUMBER.format(here[name] || 0)))));
}
function cityTabs() {
  chips(at("city-tabs"), outlines.map((o) => o.city), city, (name) => { city = name; cityTabs(); draw(); legend(); });
}
// Vehicles by state of each city, for the legend.
export function setCounts(byCity) {
  counts = byCity;
  legend();
}
// Recommendations of /v1/rebalance, most urgent first.
export function setTargets(recommendations) {
  targets = recommendations;
  draw();
}
// Draws `cities` (of /v1/cities); `pick(device_id)` is called when a vehicle is clicked.
export function startMap(cities, pick) {
  outlines = cities;
  city = cities.length ? cities[0].city : null;
  cityTabs();
  new ResizeObserver(draw).observe(at("map").parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  at("map").addEventListener("click", (click) => picked(click, pick));
}
async function picked(click, pick) {
  const box = at("map").getBoundingClientRect(), x = click.clientX - box.left, y = click.clientY - box.top;
  const near = places.map(([px, py, i]) => [Math.hypot(px - x, py - y), i]).filter(([d]) => d < 12).sort((a, b) => a[0] - b[0])[0];
  if (!near) return;
  const i = near[1], lon = positions.longitude_deg[i], lat = positions.latitude_deg[i], d = 0.0002;
  try {
    const { vehicles } = await ask(`/v1/vehicles?limit=50&bbox=${lon - d},${lat - d},${lon + d},${lat + d}`);
    const distance = (v) => Math.hypot(v.longitude_deg - lon, v.latitude_deg - lat);
    vehicles.sort((a, b) => distance(a) - distance(b));
    if (vehicles.length) pick(vehicles[0].device_id); else toast("It has moved on.");
  } catch (error) { toast(error.message); }
}
