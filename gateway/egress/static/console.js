// The console page: numbers, alerts, lists, events, one vehicle. Polls the numbers; alerts and events come by Server-Sent Events.
import { NUMBER, SHORT, ask, at, chips, clock, coordinate, el, hhmmss, nowMs, percent, repeat, send, short, signOut, soon, span, subject, title, toast, words } from "./dom.js";
import { refreshMap, setCounts, setTargets, startMap } from "./map.js";

const FLEET_MS = 2000, MAP_MS = 3000, LISTS_MS = 15000, EVENTS_SHOWN = 40, SAMPLES = 60;

// ---------------------------------------------------------------- numbers
const rate = { at: 0, received: 0, perS: null, samples: [] };
function measure(received) {
  const now = performance.now();
  if (rate.at && received >= rate.received && now > rate.at) {
    const perS = ((received - rate.received) * 1000) / (now - rate.at);
    rate.perS = rate.perS === null ? perS : 0.6 * rate.perS + 0.4 * perS;
    rate.samples = [...rate.samples, rate.perS].slice(-SAMPLES);
  }
  rate.at = now;
  rate.received = received;
}
function spark(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const top = Math.max(...values, 1);
  line.setAttribute("points", values.map((v, i) => `${((i * 100) / Math.max(1, values.length - 1)).toFixed(1)},${(19 - (18 * v) / top).toFixed(1)}`).join(" "));
  svg.append(line);
  return svg;
}
function tile(label, value, note, { tone, chart } = {}) {
  return el("div", { class: "tile", "data-tone": tone }, el("div", { class: "label" }, label), el("div", { class: "value" }, value),
    chart && chart.length > 2 ? spark(chart) : el("div", { class: "note", title: note }, note));
}
const share = (value) => `${Number((100 * value).toPrecision(2))} %`;
let fleet = null;
async function refreshFleet() {
  fleet = await ask("/v1/fleet");
  Object.assign(clock, { nowMs: fleet.clock.now_ms, speed: fleet.clock.speed, at: performance.now() });
  at("deployment").textContent = fleet.deployment;
  measure(fleet.frames.received);
  const by = fleet.by_state, n = fleet.vehicles, alerts = Object.values(fleet.alerts_open).reduce((a, b) => a + b, 0);
  const tasks = Object.values(fleet.maintenance_open).reduce((a, b) => a + b, 0);
  const off = by.non_operational + by.non_contactable + by.missing + by.removed + by.elsewhere;
  const critical = fleet.alerts_open.critical || 0, latency = fleet.latency_ms;
  const events = Object.values(fleet.events).reduce((a, b) => a + b, 0);
  at("tiles").replaceChildren(
    tile("Vehicles", NUMBER.format(n), `${NUMBER.format(by.on_trip + by.stopped)} on a trip, ${NUMBER.format(by.reserved)} reserved`),
    tile("Available", NUMBER.format(by.available), `${percent(by.available, n)} of the fleet`),
    tile("Not rentable", NUMBER.format(off), `${NUMBER.format(by.non_operational)} out of service, ${NUMBER.format(by.non_contactable)} silent`),
    tile("Open alerts", NUMBER.format(alerts), critical ? `${NUMBER.format(critical)} critical` : "none critical", { tone: critical ? "critical" : undefined }),
    tile("Maintenance", NUMBER.format(tasks), tasks ? Object.entries(fleet.maintenance_open).map(([k, v]) => `${v} ${k}`).join(", ") : "no open task"),
    tile("Frames per second", rate.perS === null ? "–" : SHORT.format(rate.perS), `${SHORT.format(fleet.frames.received)} received`, { chart: rate.samples }),
    tile("Frames missing", NUMBER.format(fleet.frames.missing), `${fleet.objective.met ? "✓ " : ""}${share(fleet.objective.missing_share)}, objective ${share(fleet.objective.limit)}`, { tone: fleet.objective.met ? "good" : "bad" }),
    tile("Event latency", latency.p50 === undefined ? "–" : `${Math.round(latency.p50)} ms`, latency.p99 === undefined ? `${NUMBER.format(events)} events` : `p99 ${Math.round(latency.p99)} ms · ${SHORT.format(events)} events`),
  );
  audit();
  setCounts(fleet.by_city);
}
function audit() {
  const f = fleet.frames, parts = f.processed + f.duplicate + f.late + f.quarantined + f.dead_lettered;
  const rows = [["Received", f.received], ["Processed", f.processed, 1], ["Duplicate", f.duplicate, 1], ["Late", f.late, 1], ["Quarantined", f.quarantined, 1], ["Dead-lettered", f.dead_lettered, 1]];
  for (const [name, value] of Object.entries(fleet.counters)) if (/^(quarantined|dead_lettered)\./.test(name) && value) rows.push([words(name.replace(".", ": ")), value, 1]);
  rows.push(["Missing, by sequence numbers", f.missing], ["Missing of those sent", `${share(fleet.objective.missing_share)} of at most ${share(fleet.objective.limit)}: ${fleet.objective.met ? "met" : "not met"}`]);
  rows.push(["Stream behind the clock", `${span(fleet.lag_s / clock.speed)}${fleet.stale ? ": stale" : ""}`]);
  at("audit").replaceChildren(...rows.flatMap(([name, value, sub]) => [el("dt", { class: sub && "sub" }, name), el("dd", { class: sub && "sub" }, typeof value === "number" ? NUMBER.format(value) : value)]));
  const good = f.received === parts;
  at("verdict").textContent = good ? "✓ every frame is accounted for" : `${NUMBER.format(Math.abs(f.received - parts))} frames are not accounted for`;
  at("verdict").dataset.tone = good ? "good" : "bad";
}

// ---------------------------------------------------------------- alerts
const alertFilters = { all: "", critical: "severity=critical", "not taken": "acknowledged=false&suppressed=false", suppressed: "suppressed=true" };
let alertFilter = "all", known = null;
const sent = new Map(); // alert id -> who took it here just now, until the alert says so itself
const SENT_MS = 10_000, SNOOZE_MIN = 60;
const device = (id) => el("button", { class: "link", type: "button", title: id, onclick: () => show(id) }, short(id));

async function acknowledge(alert, button) {
  button.disabled = true;
  button.textContent = "Sending…";
  try {
    const by = at("who").value.trim() || "operator";
    await ask(`/v1/alerts/${encodeURIComponent(alert.alert_id)}/acknowledge`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ by }) });
    sent.set(alert.alert_id, by);
    setTimeout(() => sent.delete(alert.alert_id), SENT_MS);
    button.replaceWith(`taken by ${by}`);
  } catch (error) {
    button.disabled = false;
    button.textContent = "Acknowledge";
    toast(error.message);
  }
}
async function snooze(alert, button) {
  button.disabled = true;
  try {
    const by = at("who").value.trim() || "operator", body = { operation: "snooze", rule: alert.rule, minutes: SNOOZE_MIN, by };
    await ask(`/v1/vehicles/${alert.device_id}/operations`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    button.replaceWith("snoozed");
  } catch (error) {
    button.disabled = false;
    toast(error.message);
  }
}
function alertRow(alert) {
  const taken = alert.acknowledged ? alert.acknowledged_by : sent.get(alert.alert_id);
  const act = el("div", { class: "act" });
  if (taken !== undefined) act.append(`taken by ${taken}`);
  else if (alert.device_id) { const button = el("button", { class: "do", type: "button" }, "Acknowledge"); button.addEventListener("click", () => acknowledge(alert, button)); act.append(button); }
  if (alert.device_id && !alert.suppressed_by) act.append(" ", el("button", { class: "link", type: "button", onclick: (event) => snooze(alert, event.currentTarget) }, "Snooze 1 h"));
  const fresh = known !== null && !known.has(alert.alert_id);
  return el("li", { class: `alert${taken !== undefined ? " taken" : ""}${fresh ? " fresh" : ""}`, "data-severity": alert.severity },
    el("span", { class: "stripe" }),
    el("div", { class: "title" }, title(alert.rule), el("span", { class: "badge", "data-tone": alert.severity }, alert.severity), alert.escalated_ms ? el("span", { class: "badge", "data-tone": "critical" }, "escalated") : null,
      alert.reopened ? el("span", { class: "badge" }, `reopened ${alert.reopened}×`) : null, alert.suppressed_by ? el("span", { class: "badge", title: alert.snoozed_by ? `by ${alert.snoozed_by}` : null }, `quiet: ${alert.suppressed_by.map(words).join(", ")}`) : null,
      el("span", { class: "age" }, el("span", { "data-since": alert.raised_ms }, span(alert.age_s)), ` · ${title(alert.city || "")} · `, alert.device_id ? device(alert.device_id) : `zone ${alert.zone}`)),
    act,
    el("div", { class: "reason" }, alert.reason));
}
async function refreshAlerts() {
  const { alerts, total } = await ask(`/v1/alerts?limit=200&${alertFilters[alertFilter]}`);
  at("alerts-count").textContent = NUMBER.format(total);
  at("alerts").replaceChildren(...alerts.map(alertRow));
  if (!alerts.length) at("alerts").append(el("li", { class: "empty" }, alertFilter === "all" ? "No alert is open." : "None of these is open."));
  if (total > alerts.length) at("alerts").append(el("li", { class: "empty" }, `${NUMBER.format(total - alerts.length)} more, less urgent`));
  if (alertFilter === "all") known = new Set(alerts.map((alert) => alert.alert_id));
}
function alertChips() {
  chips(at("alert-filter"), Object.keys(alertFilters), alertFilter, (name) => { alertFilter = name; alertChips(); refreshAlerts().catch((error) => toast(error.message)); });
}

// ---------------------------------------------------------------- recommendations and maintenance
function moves(recommendation) {
  const rows = (recommendation.moves || []).map((move) => el("tr", {}, el("td", {}, device(move.device_id)), el("td", {}, `${NUMBER.format(Math.round(move.distance_m))} m`), el("td", {}, move.by === "rider" ? "rider" : "staff"), el("td", {}, move.incentive_eur === undefined ? "" : `${move.incentive_eur.toFixed(2)} €`)));
  rows.push(...(recommendation.swaps || []).map((swap) => el("tr", {}, el("td", {}, `${swap.rank}.`), el("td", {}, device(swap.device_id)), el("td", {}, `${Math.round(swap.battery_soc_pct)} %`), el("td", {}, `demand ${swap.demand_forecast}`))));
  if (!rows.length) return null;
  const what = recommendation.kind === "move" ? `${rows.length} move${rows.length === 1 ? "" : "s"}` : `${rows.length} swap${rows.length === 1 ? "" : "s"}`;
  return el("details", {}, el("summary", {}, what), el("table", {}, ...rows));
}
async function refreshRebalance() {
  const answer = await ask("/v1/rebalance");
  const recommendations = answer.recommendations;
  setTargets(recommendations);
  const open = new Set([...at("rebalance").querySelectorAll("details[open]")].map((node) => node.closest("li").dataset.id));
  at("rebalance-count").textContent = NUMBER.format(answer.total);
  at("rebalance").replaceChildren(...recommendations.slice(0, 100).map((r) => {
    const details = moves(r);
    if (details && open.has(r.recommendation_id)) details.open = true;
    return el("li", { class: "row", "data-id": r.recommendation_id },
      el("span", { class: "priority", "data-p": r.priority, title: `Priority ${r.priority}: 1 is urgent` }, r.priority),
      el("span", {}, el("strong", {}, r.kind === "move" ? "Bring vehicles" : "Swap batteries"), ` · ${title(r.city)} · ${r.zone}`),
      el("span", { class: "side" }, `${Math.max(0, Math.round((r.expires_ms - nowMs()) / 60000))} min left`),
      el("span", { class: "text" }, r.reason), details);
  }));
  if (!recommendations.length) at("rebalance").append(el("li", { class: "empty" }, "Nothing is recommended now. The next interval decides."));
}
async function refreshMaintenance() {
  const { tasks, total } = await ask("/v1/maintenance?limit=100");
  at("maintenance-count").textContent = NUMBER.format(total);
  at("maintenance").replaceChildren(...tasks.map((task) => el("li", { class: "row" },
    el("span", { class: "badge", "data-tone": task.severity }, task.severity),
    el("span", {}, el("strong", {}, title(task.component)), ` · ${title(task.city || "")} · `, device(task.device_id)),
    el("span", { class: "side" }, task.predicted_date ? `expected ${task.predicted_date}` : el("span", { "data-since": task.required_ms }, span(task.age_s))),
    el("span", { class: "text" }, task.reason))));
  if (!tasks.length) at("maintenance").append(el("li", { class: "empty" }, "No task is open."));
}

// ---------------------------------------------------------------- the stream
const alertsSoon = soon(() => refreshAlerts().catch(() => {})), rebalanceSoon = soon(() => refreshRebalance().catch(() => {})), maintenanceSoon = soon(() => refreshMaintenance().catch(() => {}));
function say(type, data) {
  if (type.startsWith("vehicle.alert.")) return `Alert ${type.split(".")[2]}: ${words(data.rule)}`;
  if (type.startsWith("vehicle.availability.")) return `${title(data.previous_state)} → ${words(data.vehicle_state)} (${words(data.event_type)})`;
  if (type.startsWith("vehicle.maintenance.")) return `Maintenance ${type.split(".")[2]}: ${data.component}`;
  if (type.startsWith("vehicle.trip.ended")) return `Trip ended${data.distance_m === undefined ? "" : `: ${(data.distance_m / 1000).toFixed(1)} km`}`;
  if (type.startsWith("vehicle.trip.started")) return "Trip started";
  return `${data.kind === "swap" ? "Swaps" : "Moves"} recommended, priority ${data.priority}`;
}
const told = new Set();
function onEvent(event) {
  if (told.has(event.id)) return; // after a restart of the gateway some come twice
  told.add(event.id);
  if (told.size > 2000) told.delete(told.values().next().value);
  const type = event.type.replace("eu.mobilitycorp.fleet.", ""), data = event.data;
  if (type.startsWith("vehicle.alert.")) alertsSoon();
  if (type.startsWith("vehicle.maintenance.")) maintenanceSoon();
  if (type.startsWith("zone.rebalance.")) rebalanceSoon();
  const list = at("events");
  list.querySelector(".empty")?.remove();
  list.prepend(el("li", {}, el("time", {}, hhmmss(Date.parse(event.time))), el("span", { class: "what", title: say(type, data) }, say(type, data)), data.device_id ? device(data.device_id) : el("span", {}, title(data.city || ""))));
  while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild.remove();
}
async function connect(cursor) {
  const state = (name, text) => { at("live").dataset.state = name; at("live").textContent = text; };
  const refresh = () => { alertsSoon(); rebalanceSoon(); maintenanceSoon(); };
  for (let last = cursor; ; await new Promise((done) => setTimeout(done, 3000))) { // EventSource can send no token
    try {
      const answer = await send("/v1/stream", { headers: last ? { "Last-Event-ID": last } : {} });
      if (!answer.ok) throw new Error(answer.statusText);
      state("live", "live");
      refresh();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", part = await reader.read(); !part.done; part = await reader.read()) {
        const messages = (text + part.value).replaceAll("\r\n", "\n").split("\n\n");
        text = messages.pop();
        for (const message of messages) {
          const fields = Object.fromEntries(message.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
          last = fields.id || last;
          if (fields.event === "dropped") refresh();
          else if (fields.data && !fields.event) onEvent(JSON.parse(fields.data));
        }
      }
    } catch { /* said by the state */ }
    state("lost", at("login").open ? "signed out" : "gateway away, reconnecting");
  }
}

// ---------------------------------------------------------------- one vehicle
async function show(id) {
  try {
    const [vehicle, why] = await Promise.all([ask(`/v1/vehicles/${encodeURIComponent(id)}`), ask(`/v1/vehicles/${encodeURIComponent(id)}/why`)]);
    at("drawer-title").textContent = vehicle.device_id;
    const facts = [["Model", title(vehicle.vehicle_model || "unknown")], ["City", title(vehicle.city || "none")], ["Charge", vehicle.battery_soc_pct === undefined ? "–" : `${vehicle.battery_soc_pct.toFixed(0)} %`],
      ["Speed", vehicle.speed_mps === undefined ? "–" : `${(vehicle.speed_mps * 3.6).toFixed(0)} km/h`], ["Battery", vehicle.battery_temperature_c === undefined ? "–" : `${vehicle.battery_temperature_c.toFixed(0)} °C, ${(vehicle.battery_voltage_v ?? 0).toFixed(1)} V`],
      ["Position", `${coordinate(vehicle.latitude_deg)}, ${coordinate(vehicle.longitude_deg)}`], ["Status", vehicle.status.map(words).join(", ") || "–"], ["Trips", NUMBER.format(vehicle.trips)],
      ["Last heard", `${span((nowMs() - vehicle.last_heard_ms) / 1000)} ago`], ["Frames", `${NUMBER.format(vehicle.received)} received, ${NUMBER.format(vehicle.missing)} missing`], ["Firmware", vehicle.firmware_version || "–"], ["Shard", vehicle.shard]];
    const recent = why.recent.map((event) => el("li", {}, el("time", {}, hhmmss(Date.parse(event.time))), el("span", { class: "what" }, say(event.type.replace("eu.mobilitycorp.fleet.", ""), event.data))));
    at("drawer-body").replaceChildren(...[
      el("div", { class: "why", tone: `var(--${why.vehicle_state})` }, el("strong", {}, why.available ? "Available" : `Not available: ${words(why.vehicle_state)}`), why.for_s === undefined ? why.reason : `${why.reason} This has lasted ${span(why.for_s)}.`),
      el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])),
      why.alerts.length ? el("h3", {}, "Open alerts") : null, el("ol", { class: "list" }, ...why.alerts.map(alertRow)),
      why.maintenance.length ? el("h3", {}, "Maintenance") : null, el("ul", { class: "list" }, ...why.maintenance.map((task) => el("li", { class: "row" }, el("span", { class: "badge", "data-tone": task.severity }, task.severity), el("strong", {}, title(task.component)), el("span"), el("span", { class: "text" }, task.reason)))),
      el("h3", {}, "Last events"), recent.length ? el("ol", { class: "ticker" }, ...recent) : el("p", { class: "empty" }, "None is kept."),
    ].filter((node) => node !== null));
    at("drawer").hidden = false;
    at("drawer-close").focus();
  } catch (error) { toast(error.message); }
}
at("drawer-close").addEventListener("click", () => { at("drawer").hidden = true; });
document.addEventListener("keydown", (key) => { if (key.key === "Escape") at("drawer").hidden = true; });
at("search").addEventListener("submit", (submit) => { submit.preventDefault(); const id = at("search-id").value.trim(); if (id) show(id); });
const me = subject();
if (me === null) {
  try { at("who").value = localStorage.getItem("fleetpulse.who") || "operator"; } catch { /* storage may be forbidden */ }
  at("who").addEventListener("change", () => { try { localStorage.setItem("fleetpulse.who", at("who").value); } catch { /* the same */ } });
} else { // whoever the token speaks of, whatever stands here
  at("who").value = me;
  at("who").readOnly = true;
  at("sign-out").hidden = false;
  at("sign-out").addEventListener("click", signOut);
}

// ---------------------------------------------------------------- begin
async function begin() {
  alertChips();
  at("events").append(el("li", { class: "empty" }, "Waiting for the next event."));
  startMap((await ask("/v1/cities")).cities, show);
  repeat(refreshFleet, FLEET_MS);
  repeat(refreshMap, MAP_MS);
  repeat(refreshAlerts, LISTS_MS);
  repeat(refreshRebalance, LISTS_MS);
  repeat(refreshMaintenance, LISTS_MS);
  let cursor = null;
  try {
    const last = await ask("/v1/events?limit=20");
    last.events.forEach(onEvent);
    cursor = last.next_cursor;
  } catch { /* not ready yet; the stream begins when it is */ }
  connect(cursor);
}
begin().catch((error) => { at("live").dataset.state = "lost"; at("live").textContent = at("login").open ? "signed out" : "gateway away"; toast(error.message); });
