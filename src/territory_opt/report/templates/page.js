
"use strict";
(function () {
  const MOST_LISTED = 500;
  const data = JSON.parse(document.getElementById("data").textContent);
  const reps = data.reps, accounts = data.accounts, count = accounts.id.length;
  const canvas = document.getElementById("canvas"), pen = canvas.getContext("2d");
  const tip = document.getElementById("tip"), book = document.getElementById("book");
  const select = document.getElementById("rep"), onlyMoved = document.getElementById("only-moved");
  const rows = Array.from(document.querySelectorAll("#reps tbody tr"));
  const state = { side: "new", rep: -1, scale: 1, x: 0, y: 0, width: 0, height: 0 };
  const GREY = "#cfd6dd";

  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }
  function number(value) { return value === null ? "–" : Math.round(value).toLocaleString("en-US"); }
  function repName(k) { return k < 0 ? "nobody" : reps.name[k]; }
  function changed(i) { return accounts.old[i] !== accounts.new[i]; }
  function dot(colour) {
    const svg = document.getElementById("dot").content.firstElementChild.cloneNode(true);
    svg.firstElementChild.setAttribute("fill", colour);
    return svg;
  }

  // Positions: equirectangular, narrowed by the cosine of the middle latitude.
  const [west, south, east, north] = data.view;
  const narrow = Math.cos((south + north) / 2 * Math.PI / 180);
  function flat(lon, lat) { return [(lon - west) * narrow, north - lat]; }
  function unpack(steps) {
    const line = [];
    let lon = 0, lat = 0;
    for (let k = 0; k < steps.length; k += 2) {
      lon += steps[k]; lat += steps[k + 1];
      line.push(flat(lon / 100, lat / 100));
    }
    return line;
  }
  const outline = { coast: data.outline.coast.map(unpack), border: data.outline.border.map(unpack) };
  const homes = reps.id.map((_, k) => reps.lat[k] === null ? null : flat(reps.lon[k], reps.lat[k]));
  const places = accounts.id.map((_, i) => accounts.lat[i] === null ? null : flat(accounts.lon[i], accounts.lat[i]));
  const most = Math.max(1, ...sampled(accounts.potential));
  const base = count > 8000 ? 1.2 : count > 1500 ? 1.8 : 2.6;
  const sizes = accounts.potential.map(p => base + (base + 1) * Math.sqrt((p || 0) / most));
  function sampled(values) { return values.length > 50000 ? values.slice(0, 50000) : values; }

  function fit() {
    const box = canvas.getBoundingClientRect();
    if (box.width < 2) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    state.width = box.width; state.height = box.height;
    whole();
  }
  function whole() {
    const wide = (east - west) * narrow, high = north - south;
    state.scale = Math.min(state.width / wide, state.height / high);
    state.x = (state.width - wide * state.scale) / 2;
    state.y = (state.height - high * state.scale) / 2;
    draw();
  }
  function screen(point) { return [state.x + point[0] * state.scale, state.y + point[1] * state.scale]; }
  function trace(lines, colour, width) {
    pen.strokeStyle = colour; pen.lineWidth = width;
    pen.beginPath();
    for (const line of lines) line.forEach((point, k) => {
      const [x, y] = screen(point);
      if (k) pen.lineTo(x, y); else pen.moveTo(x, y);
    });
    pen.stroke();
  }
  function shown(i) { return places[i] && (!onlyMoved.checked || changed(i)); }
  function owner(i) { return accounts[state.side][i]; }
  function disc(i, colour) {
    const [x, y] = screen(places[i]);
    pen.fillStyle = colour;
    pen.beginPath(); pen.arc(x, y, sizes[i] * zoomed(), 0, 7); pen.fill();
    if (count <= 5000 || owner(i) === state.rep) { pen.strokeStyle = "rgba(255,255,255,.75)"; pen.lineWidth = 0.6; pen.stroke(); }
  }
  function zoomed() {
    const fitted = Math.min(state.width / ((east - west) * narrow), state.height / (north - south));
    return Math.min(2.5, Math.max(1, Math.pow(state.scale / fitted, 0.35)));
  }
  function draw() {
    if (!state.width) return;
    pen.clearRect(0, 0, state.width, state.height);
    trace(outline.border, "#dde3e9", 0.8);
    trace(outline.coast, "#aebbc7", 1);
    const chosen = [];
    for (let i = 0; i < count; i += 1) {
      if (!shown(i)) continue;
      const k = owner(i);
      if (state.rep >= 0 && k === state.rep) chosen.push(i);
      else disc(i, state.rep >= 0 ? GREY : k < 0 ? "#7b8794" : reps.colour[k]);
    }
    if (state.rep >= 0 && homes[state.rep]) {
      pen.strokeStyle = reps.colour[state.rep]; pen.lineWidth = 0.6; pen.globalAlpha = 0.45;
      pen.beginPath();
      const [hx, hy] = screen(homes[state.rep]);
      for (const i of chosen) { const [x, y] = screen(places[i]); pen.moveTo(hx, hy); pen.lineTo(x, y); }
      pen.stroke(); pen.globalAlpha = 1;
    }
    for (const i of chosen) disc(i, reps.colour[state.rep]);
    homes.forEach((home, k) => { if (home && k !== state.rep) square(k, state.rep >= 0 ? "#9aa5b1" : reps.colour[k]); });
    if (state.rep >= 0 && homes[state.rep]) square(state.rep, reps.colour[state.rep]);
  }
  function square(k, colour) {
    const [x, y] = screen(homes[k]), half = k === state.rep ? 7 : homes.length > 200 ? 3 : 5;
    pen.fillStyle = "#fff"; pen.fillRect(x - half - 2, y - half - 2, 2 * half + 4, 2 * half + 4);
    pen.fillStyle = "#1f2933"; pen.fillRect(x - half - 1, y - half - 1, 2 * half + 2, 2 * half + 2);
    pen.fillStyle = colour; pen.fillRect(x - half, y - half, 2 * half, 2 * half);
    if (k === state.rep || homes.length <= 12) {
      pen.font = "600 13px system-ui, sans-serif"; pen.lineWidth = 4; pen.strokeStyle = "#fff"; pen.fillStyle = "#1f2933";
      pen.textAlign = "center";
      pen.strokeText(reps.name[k], x, y + half + 16); pen.fillText(reps.name[k], x, y + half + 16);
    }
  }

  function nearest(x, y) {
    let best = null, least = 100;
    homes.forEach((home, k) => {
      if (!home) return;
      const [a, b] = screen(home), far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) { least = far; best = { rep: k }; }
    });
    for (let i = 0; i < count; i += 1) {
      if (!shown(i) || (state.rep >= 0 && owner(i) !== state.rep)) continue;
      const [a, b] = screen(places[i]), far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) { least = far; best = { account: i }; }
    }
    return best;
  }
  function line(i) {
    return changed(i) ? repName(accounts.old[i]) + " → " + repName(accounts.new[i]) : repName(accounts.new[i]);
  }
  function showTip(x, y) {
    const found = nearest(x, y);
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren();
    if (found.rep !== undefined) {
      tip.append(make("strong", reps.name[found.rep]), make("span", "home of the rep; click to see the accounts"));
    } else {
      const i = found.account;
      tip.append(make("strong", accounts.name[i]), make("span", line(i)), make("span", data.reasons[accounts.reason[i]]),
        make("span", "potential " + data.currency + " " + number(accounts.potential[i])));
    }
    const right = x > state.width - 320;
    tip.style.left = (right ? Math.max(4, x - 314) : x + 14) + "px";
    tip.style.top = Math.min(y + 14, state.height - 100) + "px";
  }

  function legend() {
    const list = make("div", undefined, "legend");
    reps.id.forEach((_, k) => {
      const button = make("button");
      button.type = "button";
      button.title = reps.name[k];
      button.append(dot(reps.colour[k]), make("span", reps.name[k]));
      button.addEventListener("click", () => choose(k));
      list.append(button);
    });
    book.replaceChildren(make("p", "Choose a rep to see the accounts.", "hint"), list);
  }
  function showBook(k) {
    const mine = [], gone = [];
    for (let i = 0; i < count; i += 1) {
      if (accounts.new[i] === k) mine.push(i); else if (accounts.old[i] === k) gone.push(i);
    }
    mine.sort((a, b) => changed(b) - changed(a) || accounts.potential[b] - accounts.potential[a]);
    const title = make("h3", reps.name[k]), list = make("ul");
    const gained = mine.filter(changed).length, sampleNote = data.total > count ? " (in the sample of this page)" : "";
    const words = number(mine.length) + " accounts in this plan" + sampleNote + ": " + number(gained) + " come, " + number(gone.length) + " go";
    const all = mine.concat(gone), listed = all.slice(0, MOST_LISTED);
    for (const i of listed) {
      const item = make("li");
      item.append(make("strong", accounts.name[i]));
      if (changed(i)) item.append(make("span", line(i), "move"));
      item.append(make("span", data.reasons[accounts.reason[i]]),
        make("span", "potential " + data.currency + " " + number(accounts.potential[i]) + " · " + number(accounts.km[i]) + " km", "hint"));
      list.append(item);
    }
    book.replaceChildren(title, make("p", words, "hint"), list);
    if (all.length > MOST_LISTED) book.append(make("p", "The first " + MOST_LISTED + " of " + number(all.length) + "; the workbook has all.", "hint"));
    book.scrollTop = 0;
  }
  function choose(k) {
    state.rep = k;
    select.value = String(k);
    rows.forEach((row, at) => row.classList.toggle("chosen", at === k));
    if (k < 0) legend(); else showBook(k);
    draw();
  }
  function side(name) {
    state.side = name;
    document.getElementById("show-old").setAttribute("aria-pressed", String(name === "old"));
    document.getElementById("show-new").setAttribute("aria-pressed", String(name === "new"));
    draw();
  }

  function controls() {
    reps.id.forEach((_, k) => {
      const option = make("option", reps.name[k]);
      option.value = String(k);
      select.append(option);
    });
    select.addEventListener("change", () => choose(Number(select.value)));
    onlyMoved.addEventListener("change", draw);
    document.getElementById("show-old").addEventListener("click", () => side("old"));
    document.getElementById("show-new").addEventListener("click", () => side("new"));
    document.getElementById("reset").addEventListener("click", () => { whole(); choose(-1); });
    const status = count < data.total
      ? "a sample of " + number(count) + " of " + number(data.total) + " accounts"
      : number(count) + " accounts";
    document.getElementById("map-status").textContent = status + ", " + number(reps.id.length) + " reps";
  }
  function mapEvents() {
    let from = null, far = 0;
    const at = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      const [x, y] = at(event), factor = Math.exp(-event.deltaY * 0.0015);
      state.x = x - (x - state.x) * factor; state.y = y - (y - state.y) * factor; state.scale *= factor;
      draw();
    }, { passive: false });
    canvas.addEventListener("pointerdown", event => { from = at(event); far = 0; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", event => {
      const [x, y] = at(event);
      if (!from) { showTip(x, y); return; }
      state.x += x - from[0]; state.y += y - from[1]; far += Math.abs(x - from[0]) + Math.abs(y - from[1]);
      from = [x, y]; tip.hidden = true;
      draw();
    });
    canvas.addEventListener("pointerup", event => {
      from = null;
      if (far > 4) return;
      const found = nearest(...at(event));
      if (found) choose(found.rep !== undefined ? found.rep : owner(found.account)); else choose(-1);
    });
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    window.addEventListener("resize", fit);
  }
  function tableEvents() {
    const table = document.querySelector("#reps table"), body = table.tBodies[0];
    Array.from(table.tHead.rows[0].cells).forEach((head, at) => {
      head.tabIndex = 0;
      const sort = () => {
        const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.className === "text");
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = row => head.className === "text" ? row.cells[at].textContent : Number(row.cells[at].dataset.sort || NaN);
        body.append(...rows.slice().sort((a, b) => compare(key(a), key(b), up)));
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
    });
    rows.forEach((row, k) => {
      row.cells[0].prepend(dot(reps.colour[k]), " ");
      row.tabIndex = 0;
      const open = () => { choose(k); document.getElementById("map").scrollIntoView({ behavior: "smooth" }); };
      row.addEventListener("click", open);
      row.addEventListener("keydown", event => { if (event.key === "Enter") open(); });
    });
    document.getElementById("search").addEventListener("input", event => {
      const wanted = event.target.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }
  function compare(a, b, up) {
    if (typeof a === "string") return up ? a.localeCompare(b) : b.localeCompare(a);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return up ? a - b : b - a;
  }

  document.documentElement.classList.add("scripted");
  controls(); mapEvents(); tableEvents();
  const asked = decodeURIComponent(location.hash.slice(1));
  choose(asked.startsWith("rep=") ? reps.id.indexOf(asked.slice(4)) : -1);
  fit();
})();
