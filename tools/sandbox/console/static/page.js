// The sandbox's page: asks for the state twice a second and brings what is on the screen in line with it.
// What is there already is changed and not made anew, so that focus, selection and a screen reader's place stay.

const ASK_MS = 500;
const ASK_AGAIN_MS = 2000;
const CLOSING_SECONDS = 3;
const MARKS = { done: "✓", failed: "!", now: "•", waiting: "", "left out": "–" };
const WINDOW_WORDS = { open: "left", made: "to spare", stopped: "unused" };
const BUYERS = { company: "company buyer", outsider: "buyer without a company", guest: "guest" };

const id = (name) => document.getElementById(name);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let chosen = null;
let clockAhead = 0;
let shown = "";
let orders = [];
let verdicts = null;
let brokenRules = "";
let menu = [];

// --- small tools ----------------------------------------------------------------------------------------------------

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Brings the children of `list` in line with `items`, by key. Focus inside what goes away moves to `heading`. */
function keep(list, items, key, create, update, heading = null) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const name = String(key(item, place));
    let element = old.get(name);
    old.delete(name);
    if (!element) {
      element = create(item);
      element.dataset.key = name;
    }
    update(element, item);
    if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
  });
  for (const element of old.values()) {
    const held = element.contains(document.activeElement);
    element.remove();
    if (held) heading?.focus();
  }
}

function say(sentence) {
  // Emptied first, so that the same sentence is read out again.
  id("said").textContent = "";
  requestAnimationFrame(() => { id("said").textContent = sentence; });
}

async function ask(path, body) {
  const options = body === undefined
    ? {}
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error ?? `HTTP ${answer.status}`);
  return value;
}

/** Sends what a button or form asks for; while it runs, the button takes no second press. */
async function act(button, path, body, onError = say) {
  if (button.getAttribute("aria-disabled") === "true") return null;
  button.setAttribute("aria-disabled", "true");
  try {
    const answer = await ask(path, body);
    onError("");
    say(answer.said);
    await look();
    return answer;
  } catch (error) {
    onError(error.message);
    return null;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// --- orders ---------------------------------------------------------------------------------------------------------

function createOrder(order) {
  const card = id("order-template").content.firstElementChild.cloneNode(true);
  card.querySelector(".pick").addEventListener("click", () => { chosen = order.id; look(); });
  setText(card.querySelector(".pick"), `Order ${order.id}`);
  card.querySelector(".window").setAttribute("aria-label", `Window of order ${order.id}`);
  return card;
}

function updateOrder(card, order) {
  setAttribute(card, "data-tone", order.verdict.tone);
  setAttribute(card, "data-picked", order.id === chosen);
  setAttribute(card.querySelector(".pick"), "aria-pressed", order.id === chosen);
  setText(card.querySelector(".about"), [order.po_number, BUYERS[order.buyer], `store ${order.store}`].filter(Boolean).join(" · "));
  setText(card.querySelector(".notes"), order.notes.join(" · "));
  setText(card.querySelector(".pill"), order.verdict.words);
  setText(card.querySelector(".why"), order.verdict.why);
  keep(card.querySelector(".steps"), order.steps, (step) => step.key, createStep, updateStep);
}

function createStep() {
  const element = make("li", "step");
  const mark = make("span", "mark");
  mark.setAttribute("aria-hidden", "true");
  element.append(mark, make("b"), make("span", "words"), make("span", "hidden-words"));
  return element;
}

function updateStep(element, step) {
  const [mark, name, words, state] = element.children;
  setAttribute(element, "data-state", step.state);
  setText(mark, MARKS[step.state]);
  setText(name, step.name);
  setText(words, step.words);
  setText(state, ` (${step.state})`);
}

/** The window of every order, as of now. */
function runDown() {
  const now = Date.now() / 1000 + clockAhead;
  for (const order of orders) {
    const meter = id("order-list").querySelector(`[data-key="${order.id}"] .window`);
    if (!meter) continue;
    const { closes_at: closesAt, seconds, left: stopped, use } = order.window;
    const left = stopped ?? Math.min(seconds, Math.max(0, closesAt - now));
    let kind = use;
    let words = `${left.toFixed(1)} s ${WINDOW_WORDS[use]}`;
    if (use === "none") words = "window not needed";
    else if (left === 0) [kind, words] = ["closed", "window closed"];
    else if (use === "open" && left < CLOSING_SECONDS) kind = "closing";
    setAttribute(meter, "data-kind", kind);
    setAttribute(meter, "aria-valuemax", seconds);
    setAttribute(meter, "aria-valuenow", Math.round(left));
    setAttribute(meter, "aria-valuetext", use === "open" && left > 0 ? `${Math.round(left)} seconds left` : words);
    setText(meter.querySelector(".left"), words);
    meter.querySelector(".fill").style.transform = `scaleX(${use === "none" ? 0 : left / seconds})`;
  }
}

function sentence({ words, why }) {
  return why ? `${words}: ${why}` : words;
}

/** Says what has become of orders: once for each order and verdict, several in one sentence. */
function tellVerdicts() {
  const fresh = new Map(orders.map((order) => [order.id, order.verdict.key]));
  if (verdicts) {
    const changed = orders.filter(
      (order) => order.verdict.key !== verdicts.get(order.id) && order.verdict.key !== "underway",
    );
    if (changed.length) say(changed.map((order) => `Order ${order.id}: ${sentence(order.verdict)}.`).join(" "));
  }
  verdicts = fresh;
}

// --- one order's details --------------------------------------------------------------------------------------------

function showDetails(selected) {
  id("no-details").hidden = Boolean(selected);
  id("detail-body").hidden = !selected;
  setText(id("details-title"), selected ? `Order ${selected.id}` : "Order");
  if (!selected) return;
  const { record, requests, log } = selected;
  const facts = record
    ? [["PO number", record.po_number || "none"], ...Object.entries(record.extra_fields), ["Record", record.origin]]
    : [];
  showFacts(id("record"), facts, "");
  id("no-record").hidden = Boolean(record);
  const rows = (table, items, update) => {
    keep(id(table).tBodies[0], items, (item, place) => `${selected.id}-${place}`, createRow, update);
    id(table).hidden = items.length === 0;
    id(`no-${table}`).hidden = items.length > 0;
  };
  rows("requests", requests, (row, request) => {
    fill(row.cells[0], `${request.after.toFixed(2)} s`);
    fill(row.cells[1], request.name, request.sent);
    const took = request.seconds === null ? "" : ` after ${request.seconds.toFixed(2)} s`;
    fill(row.cells[2], request.answer + took, request.fault && `fault: ${request.fault}`);
    row.cells[2].lastElementChild.classList.toggle("struck", Boolean(request.fault));
  });
  rows("log", log, (row, line) => {
    setAttribute(row, "data-level", line.level);
    fill(row.cells[0], `${line.after.toFixed(2)} s`);
    fill(row.cells[1], line.function, `v${line.version}`);
    fill(row.cells[2], line.message, line.facts);
  });
}

function createRow() {
  const row = make("tr");
  for (let cell = 0; cell < 3; cell += 1) {
    const element = make("td");
    element.append(make("span", "line"), make("small"));
    row.append(element);
  }
  return row;
}

function fill(cell, text, small = "") {
  setText(cell.children[0], text);
  setText(cell.children[1], small);
}

/** A description list: names and values. */
function showFacts(list, facts, tag) {
  const texts = facts.flatMap(([name, value]) => [["dt", name], ["dd", value]]);
  keep(list, texts, ([kind], place) => `${kind}${place}`, ([kind]) => {
    const element = make(kind);
    if (kind === "dd" && tag) element.append(make(tag));
    return element;
  }, (element, [, text]) => setText(element.firstElementChild ?? element, text));
}

// --- faults, queues, rules ------------------------------------------------------------------------------------------

function showFaults(faults) {
  id("no-faults").hidden = faults.length > 0;
  keep(id("faults"), faults, (fault) => fault.id, (fault) => {
    const item = make("li");
    const button = make("button", "small");
    button.type = "button";
    button.addEventListener("click", () => act(button, `/api/faults/${fault.id}/remove`, {}));
    item.append(make("span"), make("span", "muted"), button);
    return item;
  }, (item, fault) => {
    const [words, whom, button] = item.children;
    setText(words, fault.words);
    setText(whom, fault.for_whom);
    setText(button, fault.verb);
    setAttribute(button, "aria-label", `${fault.verb}: ${fault.words}, ${fault.for_whom}`);
  }, id("faults-title"));
}

function showQueues({ recovery, dead }) {
  const depth = ({ waiting, hidden }) => `${waiting} visible, ${hidden} in flight or delayed`;
  setText(id("recovery-depth"), depth(recovery));
  setText(id("dead-depth"), depth(dead));
  const late = recovery.waiting + recovery.hidden;
  const lost = dead.waiting + dead.hidden;
  setText(id("recovery-count"), String(late));
  setText(id("dead-count"), String(lost));
  setAttribute(id("recovery-count"), "data-tone", late ? "warn" : "quiet");
  setAttribute(id("dead-count"), "data-tone", lost ? "bad" : "quiet");
  id("no-late").hidden = recovery.orders.length > 0;
  keep(id("late"), recovery.orders, (one) => one.order, () => {
    const item = make("li");
    item.append(make("b"), make("span", "muted"));
    return item;
  }, (item, one) => {
    setText(item.children[0], `Order ${one.order}`);
    setText(item.children[1], one.words);
  });
  id("no-letters").hidden = dead.letters.length > 0;
  keep(id("letters"), dead.letters, (letter) => letter.message_id, createLetter, updateLetter, id("dead-title"));
}

function createLetter(letter) {
  const item = make("li");
  const buttons = make("div", "buttons");
  const name = letter.order ? `order ${letter.order}` : "this message";
  for (const [what, label] of [["redrive", "Redrive"], ["drop", "Drop"]]) {
    const button = make("button", "small", label);
    button.type = "button";
    button.setAttribute("aria-label", `${label} ${name}`);
    button.addEventListener("click", async () => {
      if (what === "drop" && !(await sure(`Drop ${name}? The relay will not update its record.`))) return;
      act(button, `/api/letters/${letter.message_id}/${what}`, {});
    });
    buttons.append(button);
  }
  item.append(make("b"), make("span"), make("span", "muted"), buttons);
  return item;
}

function updateLetter(item, letter) {
  setText(item.children[0], letter.order ? `Order ${letter.order}` : "Unreadable message");
  setText(item.children[1], letter.reason);
  setText(item.children[2], letter.detail);
}

function sure(question) {
  const dialog = id("sure");
  setText(id("sure-words"), question);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function showRules(rules) {
  setText(id("rules-path"), rules.path);
  const since = new Date(rules.since * 1000).toLocaleTimeString();
  const live = `Live since ${since}, as version ${rules.version} of the functions.`;
  setText(id("rules-live"), rules.arriving ? "Deploying the new rules." : live);
  id("rules-problem").hidden = !rules.problem;
  setText(id("rules-problem"), rules.problem && `The file is invalid. The rules below stay in use: ${rules.problem}`);
  const [state, tone] = rules.problem ? ["wrong", "bad"] : rules.arriving ? ["arriving", "warn"] : [`v${rules.version}`, "good"];
  setText(id("rules-state"), state);
  setAttribute(id("rules-state"), "data-tone", tone);
  showFacts(id("rule-list"), rules.rules.map((rule) => [rule.name, rule.expression]), "code");
  if (rules.problem !== brokenRules) say(rules.problem ? `The rules are invalid: ${rules.problem}` : "The rules are valid again.");
  brokenRules = rules.problem;
}

function showStores(stores) {
  const facts = stores.flatMap((store) => [
    ["Store", store.hash], ["Access token", store.access_token], ["Client secret", store.client_secret],
  ]);
  showFacts(id("stores"), facts, "code");
}

// --- the state, again and again -------------------------------------------------------------------------------------

function show(state) {
  orders = state.orders;
  id("error").hidden = !state.error;
  setText(id("error"), state.error);
  id("no-orders").hidden = orders.length > 0;
  keep(id("order-list"), orders, (order) => order.id, createOrder, updateOrder, id("orders"));
  showDetails(state.selected);
  showFaults(state.faults);
  showQueues(state.queues);
  showRules(state.rules);
  showStores(state.stores);
  tellVerdicts();
}

async function look() {
  const { now, state } = await ask(`/api/state?order=${chosen ?? ""}`);
  clockAhead = now - Date.now() / 1000;
  const text = JSON.stringify(state) + chosen;
  if (text !== shown) show(state);
  shown = text;
  runDown();
}

async function keepLooking() {
  let wait = ASK_MS;
  try {
    if (!document.hidden) await look();
  } catch {
    wait = ASK_AGAIN_MS;
    shown = "";
    id("error").hidden = false;
    setText(id("error"), "The sandbox does not answer. Start it again with make sandbox.");
  }
  setTimeout(keepLooking, wait);
}

// --- forms ----------------------------------------------------------------------------------------------------------

function errorOf(form) {
  return (text) => setText(form.querySelector(".error"), text);
}

id("place").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const field = (name) => form.elements[name].value;
  const webhook = field("webhook");
  const body = {
    store: field("store"),
    buyer: field("buyer"),
    po_number: field("po_number"),
    cost_center: field("cost_center"),
    erp_order_id: field("erp_order_id"),
    created_ago_seconds: form.elements.created_ago_seconds.valueAsNumber,
    webhook: webhook === "never" ? webhook : Number(webhook),
    copies: form.elements.copies.valueAsNumber,
  };
  const before = chosen;
  const answer = await act(form.querySelector("button"), "/api/orders", body, errorOf(form));
  if (!answer) return;
  if (chosen === before) chosen = answer.order;
  // The next order shall not look like this one.
  const po = form.elements.po_number;
  po.value = po.value.replace(/\d+$/, (number) => String(Number(number) + 1).padStart(number.length, "0"));
  look().catch(() => {});
});

id("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const { fault, endpoint, extent } = form.elements;
  act(
    form.querySelector("button"),
    "/api/faults",
    { fault: fault.value, endpoint: endpoint.value, extent: extent.value },
    errorOf(form),
  );
});

function fitFaultForm() {
  const fault = menu.faults.find((choice) => choice.key === id("fault").elements.fault.value);
  setText(id("fault-hint"), fault.hint);
  id("endpoint").hidden = !fault.of_api;
  id("extent").hidden = fault.of_store;
  // What no call meets has no number of calls: only the first choice, shortened, and the one for everybody.
  const extent = id("fault").elements.extent;
  for (const [place, choice] of menu.extents.entries()) {
    const option = extent.options[place];
    const last = place === menu.extents.length - 1;
    option.hidden = !fault.of_api && place > 0 && !last;
    setText(option, fault.of_api || last ? choice.label : choice.label.split(",")[0]);
    if (option.hidden && option.selected) extent.selectedIndex = 0;
  }
}

id("fault").elements.fault.addEventListener("change", fitFaultForm);

id("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(id("source").textContent);
  say("The lines are copied.");
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) look().catch(() => {}); });

function tick() {
  if (orders.some((order) => order.window.left === null)) runDown();
  setTimeout(tick, calm.matches ? 1000 : 100);
}

const about = await ask("/api/about");
menu = about.menu;
for (const [name, choices] of [["fault", menu.faults], ["endpoint", menu.endpoints], ["extent", menu.extents]]) {
  const select = id("fault").elements[name];
  for (const choice of choices) select.append(new Option(choice.label, choice.key));
}
for (const store of about.stores) id("store").append(new Option(store, store));
fitFaultForm();
setText(id("source"), `${about.source}\nrelay doctor`);
setText(id("tutorial"), about.tutorial);
keepLooking();
tick();
