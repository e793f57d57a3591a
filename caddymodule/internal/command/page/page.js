"use strict";

// What a client sent is text: it is put into the page through textContent alone.

const maxRows = 1000;
const gates = new Map(); // by name
const rows = new Map(); // by the id of the delivery
const $ = (id) => document.getElementById(id);

function element(name, text, className) {
	const made = document.createElement(name);
	if (text !== undefined) made.textContent = text;
	if (className) made.className = className;
	return made;
}

// isBad says what an operator looks for: what was refused, and what the app failed to take.
const failed = (d) => Boolean(d.app) && d.app !== "2xx" && d.app !== "3xx";
const isBad = (d) => d.result === "refused" || failed(d);

function showGates(all) {
	gates.clear();
	for (const gate of all) gates.set(gate.name, gate);
	const chosen = $("gate").value;
	$("gate").replaceChildren(new Option("all", ""), ...[...gates.keys()].map((name) => new Option(name, name)));
	$("gate").value = gates.has(chosen) ? chosen : "";
	drawGates();
}

function drawGates() {
	$("gates").replaceChildren(...[...gates.values()].map((gate) => {
		const item = element("li");
		item.append(element("strong", gate.name));
		const kind = [gate.preset, gate.kind.replace("_", " "), gate.mode === "observe" ? "observes only" : "", gate.replay ? "replay " + gate.replay : ""];
		item.append(element("p", kind.filter(Boolean).join(", ")));
		for (const url of gate.urls ?? []) item.append(element("p", url));
		const count = (name) => gate.deliveries[name] ?? 0;
		item.append(element("p", `accepted ${count("accepted")}, refused ${count("refused")}` + (count("observed") ? `, observed ${count("observed")}` : "")));
		const app = Object.entries(gate.app).map(([answer, n]) => `${answer} ${n}`);
		if (app.length) item.append(element("p", "app: " + app.join(", ")));
		for (const f of gate.findings ?? []) item.append(element("p", `${f.severity}: ${f.problem}; ${f.cure}`, "finding"));
		return item;
	}));
}

// count keeps the figures of a gate up to date between two lists of gates.
function count(d) {
	const gate = gates.get(d.gate);
	if (!gate) return;
	gate.deliveries[d.result] = (gate.deliveries[d.result] ?? 0) + 1;
	if (d.app) gate.app[d.app] = (gate.app[d.app] ?? 0) + 1;
}

function wanted(d) {
	const verdict = $("verdict").value, text = $("text").value.toLowerCase();
	if ($("gate").value && $("gate").value !== d.gate) return false;
	if (verdict === "failed" ? !failed(d) : verdict && verdict !== d.result) return false;
	return !text || [d.id, d.host + d.path, d.reason, d.diagnosis, d.client_ip, d.user_agent, d.key, d.tenant].join("\n").toLowerCase().includes(text);
}

function details(d) {
	const list = element("dl");
	const add = (name, value, className) => {
		if (value === undefined || value === "" || value === 0) return;
		list.append(element("dt", name), element("dd", String(value), className));
	};
	add("what to do", d.hint, "cure");
	add("diagnosis", d.diagnosis);
	add("reason", d.reason);
	add("id", d.id);
	add("time", new Date(d.time).toISOString());
	add("request", `${d.method} ${d.host}${d.path}`);
	add("client", d.client_ip);
	add("user agent", d.user_agent);
	add("content type", d.content_type);
	add("body", `${d.size} bytes`);
	add("key", d.key);
	add("tenant", d.tenant);
	add("answer", d.status);
	add("app", d.app);
	add("time to verdict", milliseconds(d.verdict_seconds));
	add("time to answer", milliseconds(d.answer_seconds));
	return list;
}

const milliseconds = (seconds) => (seconds ? (seconds * 1000).toFixed(2) + " ms" : "");

function row(d) {
	const item = element("li"), button = element("button");
	button.type = "button";
	button.setAttribute("aria-expanded", "false");
	button.append(
		element("span", new Date(d.time).toLocaleTimeString(undefined, { hour12: false }) + "." + String(new Date(d.time).getMilliseconds()).padStart(3, "0"), "time"),
		element("span", failed(d) ? "failed" : d.result, isBad(d) ? "bad" : "good"),
		element("span", d.gate),
		element("span", `${d.method} ${d.host}${d.path}`, "path"),
		element("span", [d.reason, d.app && "app " + d.app, d.diagnosis].filter(Boolean).join(" · "), "outcome"),
	);
	button.addEventListener("click", () => {
		const open = item.querySelector("dl");
		if (open) open.remove();
		else item.append(details(d));
		button.setAttribute("aria-expanded", String(!open));
	});
	item.append(button);
	item.hidden = !wanted(d);
	return item;
}

// show adds a delivery, or one again of which more is known.
function show(d) {
	const old = rows.get(d.id), item = row(d);
	rows.set(d.id, { delivery: d, item });
	if (old) {
		const open = old.item.querySelector("dl"), focused = old.item.contains(document.activeElement);
		old.item.replaceWith(item);
		if (open) item.firstChild.click();
		if (focused) item.firstChild.focus();
		return;
	}
	$("deliveries").prepend(item);
	if (rows.size > maxRows) {
		const [oldest, { item: last }] = rows.entries().next().value;
		last.remove();
		rows.delete(oldest);
	}
}

// Lines are drawn once a frame, however fast they come.
let waiting = [], dropped = 0;

function draw() {
	for (const line of waiting) {
		if (line.gates) showGates(line.gates);
		else if (line.dropped) dropped += line.dropped;
		else if (line.state !== undefined) $("state").textContent = line.state;
		else if (line.id) {
			if (line.live && !rows.has(line.id)) count(line);
			show(line);
		}
	}
	waiting = [];
	if (dropped) $("state").textContent = `connected; ${dropped} not shown, because they came too fast`;
	$("empty").hidden = rows.size > 0;
	drawGates();
}

function receive(line) {
	if (!waiting.length) requestAnimationFrame(draw);
	waiting.push(line);
	if (waiting.length > 5 * maxRows) waiting = waiting.slice(-maxRows);
}

for (const id of ["gate", "verdict", "text"]) {
	$(id).addEventListener("input", () => {
		for (const { delivery, item } of rows.values()) item.hidden = !wanted(delivery);
	});
}
$("filter").addEventListener("submit", (event) => event.preventDefault());

const stream = new EventSource("events");
stream.onmessage = (event) => receive(JSON.parse(event.data));
stream.onerror = () => receive({ state: "caddy webhook inspect has ended; start it again" });
