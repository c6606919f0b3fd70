"use strict";
// What the reader does with the page. Names reach it as text alone, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, where = document) => where.querySelector(selector);
const all = (selector, where = document) => [...where.querySelectorAll(selector)];
const percent = (share) => (share === null ? "none" : `${(100 * share).toFixed(1)} %`);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Classes: a click on a column's head sorts by it, another click turns the order round.
for (const button of all(".classes thead button")) {
  button.onclick = () => {
    const head = button.closest("th");
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute("aria-sort") !== "descending";
    all("th[aria-sort]", head.parentNode).forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => Number(row.children[column].dataset.value);
    const rows = all(".classes tbody tr").sort((a, b) => value(a) - value(b));
    find(".classes tbody").append(...(down ? rows.reverse() : rows));
  };
}

// Confusion: shares of the row (the truth) or of the column (the prediction).
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const ofTruth = data.counts.map(sum);
const ofPrediction = data.counts.map((_, label) => sum(data.counts.map((row) => row[label])));

function normalise(byRow) {
  for (const td of all(".heat td[data-truth]")) {
    const [truth, label] = [Number(td.dataset.truth), Number(td.dataset.label)];
    const count = data.counts[truth][label];
    const share = count / (byRow ? ofTruth[truth] : ofPrediction[label]) || 0;
    td.style.setProperty("--share", share.toFixed(3));
    td.textContent = share >= 0.005 ? (100 * share).toFixed(0) : "";
    td.tabIndex = td.textContent ? 0 : -1;
    td.title =
      `${data.classes[truth].name} labelled ${data.classes[label].name}: ` +
      `${(100 * share).toFixed(2)} %, ${count.toLocaleString("en")} pixels`;
  }
}

for (const radio of all("input[name=normalise]")) {
  radio.onchange = () => normalise(radio.value === "row");
}
for (const td of all(".heat td[data-truth]")) {
  td.onclick = () => choose([Number(td.dataset.truth), Number(td.dataset.label)]);
  td.onkeydown = (event) => event.key === "Enter" && td.onclick();
}

// Pictures: drawn a screen at a time, as there may be thousands.
const AT_ONCE = 48;
const grid = find(".grid");
const end = find(".end");
let chosen = null; // a cell of the confusion matrix
let shown = []; // numbers of pictures, in the order that they are shown in
let drawn = 0;

function pixelsOf(picture, truth, label) {
  for (let at = 0; at < picture.cells.length; at += 3) {
    if (picture.cells[at] === truth && picture.cells[at + 1] === label) return picture.cells[at + 2];
  }
  return 0;
}

const worst = (picture) => (picture.iou === null ? 2 : picture.iou);
const ORDERS = {
  worst: (a, b) => worst(a) - worst(b),
  best: (a, b) => (b.iou ?? -1) - (a.iou ?? -1),
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
};

function arrange() {
  const order = ORDERS[find("#order").value];
  shown = [...data.pictures.keys()].sort((a, b) => order(data.pictures[a], data.pictures[b]));
  let words = `${shown.length.toLocaleString("en")} pictures`;
  if (chosen) {
    const pixels = (number) => pixelsOf(data.pictures[number], ...chosen);
    shown = shown.filter(pixels).sort((a, b) => pixels(b) - pixels(a));
    const [truth, label] = chosen.map((each) => data.classes[each].name);
    words = `${shown.length.toLocaleString("en")} pictures with ${truth} labelled ${label}, most pixels first`;
  }
  find(".shown").textContent = words;
  find("#order").disabled = chosen !== null;
  find("#everything").hidden = chosen === null;
  grid.replaceChildren();
  drawn = 0;
  drawMore();
}

function choose(cell) {
  chosen = cell;
  arrange();
  find("#pictures").scrollIntoView();
}

function drawMore() {
  const next = shown.slice(drawn, drawn + AT_ONCE);
  drawn += next.length;
  grid.append(...next.map(card));
  end.hidden = drawn === shown.length;
  watcher.unobserve(end); // so that it is told again if the end is still in sight
  watcher.observe(end);
}

const file = (picture, kind) =>
  `${data.folder}/${picture.file}${kind === "picture" ? ".jpg" : `-${kind}.png`}`;

function card(number) {
  const picture = data.pictures[number];
  const image = element("img", {
    src: file(picture, "picture"),
    loading: "lazy",
    alt: "",
    width: picture.size[1],
    height: picture.size[0],
  });
  const caption = element("span", {}, element("b", {}, picture.name), ` ${percent(picture.iou)}`);
  return element("button", { type: "button", onclick: () => open(number) }, image, caption);
}

const watcher = new IntersectionObserver(
  (entries) => entries.some((entry) => entry.isIntersecting) && drawn < shown.length && drawMore(),
  { rootMargin: "800px" },
);

find("#order").onchange = arrange;
find("#everything").onclick = () => choose(null);

// One picture: two layers, the upper one cut off at the slider.
const dialog = find("dialog");
let current = 0;

function open(number) {
  current = number;
  const picture = data.pictures[number];
  find("h2", dialog).textContent = picture.name;
  find(".of", dialog).textContent =
    `mean IoU ${percent(picture.iou)}, ${shown.indexOf(number) + 1} of ${shown.length}`;
  find(".stack", dialog).style.aspectRatio = `${picture.size[1]} / ${picture.size[0]}`;
  drawLayers();
  find(".found", dialog).replaceChildren(...classesOf(picture));
  history.replaceState(null, "", `#picture-${number + 1}`);
  if (!dialog.open) dialog.showModal();
}

function drawLayers() {
  const picture = data.pictures[current];
  for (const side of ["left", "right"]) {
    const kind = find(`#${side}`).value;
    const layer = find(`.${side}`, dialog);
    layer.classList.toggle("errors", kind === "errors");
    const [below, above] = all("img", layer);
    below.src = file(picture, "picture");
    above.hidden = kind === "picture";
    if (!above.hidden) above.src = file(picture, kind);
    above.alt = `${kind} of ${picture.name}`;
  }
}

function classesOf(picture) {
  const counts = new Map(); // label -> [hits, truth, prediction]
  for (let at = 0; at < picture.cells.length; at += 3) {
    const [truth, label, pixels] = picture.cells.slice(at, at + 3);
    for (const each of [truth, label]) if (!counts.has(each)) counts.set(each, [0, 0, 0]);
    counts.get(truth)[1] += pixels;
    counts.get(label)[2] += pixels;
    if (truth === label) counts.get(truth)[0] += pixels;
  }
  return [...counts].sort((a, b) => b[1][1] - a[1][1]).map(([label, [hits, truth, labelled]]) =>
    element("span", {}, chip(data.classes[label].color), data.classes[label].name,
      ` ${percent(hits / (truth + labelled - hits))}`));
}

function chip(color) {
  const made = element("span", { className: "chip" });
  made.style.background = `rgb(${color})`;
  return made;
}

function step(by) {
  const place = shown.indexOf(current) + by;
  if (place >= 0 && place < shown.length) open(shown[place]);
}

find("#previous").onclick = () => step(-1);
find("#next").onclick = () => step(1);
find("#close").onclick = () => dialog.close();
find("#left").onchange = find("#right").onchange = drawLayers;
find("#cut").oninput = (event) => find(".stack").style.setProperty("--cut", `${event.target.value}%`);
dialog.onclose = () => history.replaceState(null, "", location.pathname + location.search);
dialog.onkeydown = (event) => {
  if (/^(input|select)$/i.test(event.target.tagName)) return; // whose own keys these are
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
};

arrange();
const asked = /^#picture-(\d+)$/.exec(location.hash);
if (asked && data.pictures[asked[1] - 1]) open(asked[1] - 1);
