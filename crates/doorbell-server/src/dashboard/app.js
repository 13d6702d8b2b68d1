// The dashboard's script. It asks the public API and writes what it gets as text nodes only: what came from outside is
// never taken for markup.
"use strict";

const LATEST = 50;
const EVERY_MS = 10_000;
const SOON_MS = 700;
const at = (id) => document.getElementById(id);
const open = new Set();
let feed = null, timer = null, next = Infinity, asking = false, again = false, rest = SOON_MS;

/** An element with a class, and children: text, or elements. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const TONES = {
  accepted: "good", delivered: "good", enabled: "good", receives: "good",
  rejected: "bad", failed: "bad", disabled: "bad", breaker_open: "bad",
  waiting: "wait", pending: "wait", scheduled: "wait", in_flight: "wait", paused: "wait",
};

function pill(word, text) {
  return make("span", `pill ${TONES[word] ?? ""}`, text ?? word.replaceAll("_", " "));
}

function clock(moment) {
  const date = new Date(moment), today = new Date().toDateString() === date.toDateString();
  const shown = make("time", "mono quiet", today ? date.toLocaleTimeString([], { hourCycle: "h23" }) : date.toLocaleDateString());
  shown.dateTime = moment;
  shown.title = date.toLocaleString();
  return shown;
}

class SignedOut extends Error {}

async function ask(path, method = "GET") {
  const answer = await fetch(path, { method, headers: { accept: "application/json" } });
  if (answer.status === 401 || (answer.status === 429 && feed === null)) throw new SignedOut();
  const body = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(`${body.detail} ${body.remedy}`);
  return body;
}

function sourceLine(source, base) {
  const state = source.enabled ? pill("receives") : pill("disabled");
  const head = make("div", "row", make("span", "name", source.name), make("span", "quiet", source.provider), make("span", "end", state));
  return make("li", "", head, make("code", "address", `${base}/${source.name}`));
}

function endpointLine(endpoint) {
  const state = make("span", "end pills", ...breakerPills(endpoint.standing), pill(endpoint.status));
  const wants = endpoint.event_types.length ? endpoint.event_types.join(", ") : "all events";
  const head = make("div", "row", make("span", "name", endpoint.name), make("span", "quiet", wants), state);
  const why = endpoint.disabled_because ? make("p", "quiet", endpoint.disabled_because) : null;
  return make("li", "", head, make("code", "address", endpoint.url), why, breakerLine(endpoint.standing));
}

function breakerPills(standing) {
  return !standing || standing.breaker === "closed" ? [] : [pill("breaker_open", `breaker ${standing.breaker.replace("_", " ")}`)];
}

/** Why deliveries to an endpoint wait, and when the next one is tried. */
function breakerLine(standing) {
  if (!standing || standing.breaker === "closed") return null;
  const next = standing.breaker === "half_open" ? ["One delivery is out to probe it."]
    : new Date(standing.next_probe_at) > new Date() ? ["Next probe at ", clock(standing.next_probe_at), "."] : ["The next delivery probes it."];
  return make("p", "quiet", "Since ", clock(standing.breaker_since), `: ${standing.breaker_because}. `, ...next,
    ` ${standing.waiting_in_memory} wait in memory, ${standing.in_flight} in flight.`);
}

function fatePills(request, tally) {
  const pills = [pill(request.fate)];
  for (const state of ["delivered", "waiting", "failed", "discarded"]) {
    if (tally?.[state]) pills.push(pill(state, `${tally[state]} ${state}`));
  }
  return make("span", "pills", ...pills);
}

async function deliveryBlock(delivery) {
  const head = make("div", "row", make("span", "name", delivery.endpoint_name ?? "removed endpoint"), pill(delivery.state),
    make("span", "quiet", `${delivery.attempts} ${delivery.attempts === 1 ? "try" : "tries"}${delivery.last_status ? `, last answer ${delivery.last_status}` : ""}`));
  const block = make("div", "delivery", head);
  if (delivery.due_at && delivery.state === "scheduled") head.append(make("span", "quiet", "again at "), clock(delivery.due_at));
  else if (delivery.waits_because) block.append(make("p", "", delivery.waits_because));
  if (delivery.state !== "delivered" && delivery.attempts > 0) {
    const tries = (await ask(`/v1/deliveries/${delivery.id}/attempts`)).data;
    block.append(make("p", "", tries.at(-1)?.explanation ?? ""));
  }
  if (["failed", "scheduled"].includes(delivery.state) || delivery.waits_for === "breaker") {
    const button = make("button", "", "Try again now");
    button.type = "button";
    button.addEventListener("click", () => guarded(async () => { await ask(`/v1/deliveries/${delivery.id}/retry`, "POST"); await refresh(); }));
    block.append(button);
  }
  return block;
}

async function fill(inside, request) {
  const parts = [make("p", "quiet mono", request.id)];
  if (request.rejection) parts.push(make("p", "", request.rejection.detail));
  if (request.duplicate_of) parts.push(make("p", "", `It repeats ${request.duplicate_of}.`));
  if (request.fate === "no_endpoint") parts.push(make("p", "", "No endpoint wants it. Once one does, it can be replayed: doorbell replay."));
  if (request.event) {
    const { data } = await ask(`/v1/deliveries?limit=20&event=${encodeURIComponent(request.event)}`);
    parts.push(...await Promise.all(data.map(deliveryBlock)));
  }
  inside.replaceChildren(...parts);
}

function requestLine(request, tally, known) {
  const where = request.source ? request.source_name ?? "removed source" : "published";
  const summary = make("summary", "", clock(request.at), make("span", "quiet", where),
    make("span", "name", request.event_type ?? `${request.method}, ${request.body_len} bytes`), fatePills(request, tally));
  const inside = known ?? make("div", "inside");
  const details = make("details", "", summary, inside);
  details.open = open.has(request.id);
  if (details.open) guarded(() => fill(inside, request));
  details.addEventListener("toggle", () => {
    if (details.open === open.has(request.id)) return;
    if (details.open) { open.add(request.id); guarded(() => fill(inside, request)); } else open.delete(request.id);
  });
  const line = make("li", "", details);
  line.dataset.request = request.id;
  return line;
}

function fillList(id, lines, empty) {
  at(id).replaceChildren(...(lines.length ? lines : [make("li", "quiet", empty)]));
}

async function refresh() {
  const status = await ask("/v1/status");
  const [sources, endpoints, requests, events] = await Promise.all([
    ask("/v1/sources?limit=100"), ask("/v1/endpoints?limit=100"),
    ask(`/v1/requests?limit=${LATEST}`), ask(`/v1/events?limit=${LATEST}`),
  ]);
  const tallies = new Map(events.data.map((event) => [event.id, event.deliveries]));
  const known = new Map([...at("requests").children].map((line) => [line.dataset.request, line.querySelector(".inside")]));
  const focused = document.activeElement?.closest("li")?.dataset.request;
  fillList("sources", sources.data.map((source) => sourceLine(source, status.ingest_url)), "None yet: doorbell source create");
  fillList("endpoints", endpoints.data.map(endpointLine), "None yet: doorbell endpoint create");
  fillList("requests", requests.data.map((request) => requestLine(request, tallies.get(request.event), known.get(request.id))),
    "Nothing came in yet. Send something to one of the sources.");
  if (focused) [...at("requests").children].find((line) => line.dataset.request === focused)?.querySelector("summary").focus();
  at("version").textContent = status.version;
  at("counts").textContent = status.store ? `${status.store.events} kept, ${status.store.waiting} deliveries wait, ${status.store.failed} failed` : "";
  show(true);
}

function show(signedIn) {
  at("welcome").hidden = signedIn;
  at("shown").hidden = at("sign-out").hidden = !signedIn;
  if (signedIn) watch();
  else { feed?.close(); feed = null; clearTimeout(timer); next = Infinity; at("live").className = "live"; at("live").textContent = ""; }
}

/** The live feed only says that something happened; what it was is read from the lists. */
function watch() {
  if (feed && feed.readyState !== EventSource.CLOSED) return;
  feed = new EventSource("/v1/live");
  const tell = (on) => { at("live").className = on ? "live on" : "live"; at("live").textContent = on ? "live" : "connecting"; };
  feed.addEventListener("open", () => tell(true));
  feed.addEventListener("error", () => tell(false));
  feed.addEventListener("message", () => soon(rest));
}

async function guarded(work) {
  try {
    await work();
    at("trouble").hidden = true;
  } catch (error) {
    if (error instanceof SignedOut) return show(false);
    at("trouble").textContent = error instanceof TypeError ? "The server does not answer." : error.message;
    at("trouble").hidden = false;
  }
}

/** One refresh at a time; what happens meanwhile makes one more. A busy server is asked less often. */
async function turn() {
  if (asking) { again = true; return; }
  asking = true; again = false;
  const began = performance.now();
  await guarded(refresh);
  rest = Math.max(SOON_MS, 4 * (performance.now() - began));
  asking = false;
  if (!at("shown").hidden) soon(again ? rest : EVERY_MS);
}

function soon(wait) {
  const when = Date.now() + wait;
  if (when >= next) return;
  clearTimeout(timer);
  next = when;
  timer = setTimeout(() => { next = Infinity; turn(); }, wait);
}

at("sign-out").addEventListener("click", () => guarded(async () => { await ask("/logout", "POST"); show(false); }));
turn();
