// The page: a picture goes in, and is answered here. Nothing is sent.
import { answer, loadFacts, open } from './answer.js';
import { read, Refused } from './picture.js';

const part = id => document.getElementById(id);
const percent = p => p >= 0.01 && p <= 0.99 ? `${(100 * p).toFixed(0)}%` : `${(100 * p).toFixed(1)}%`;
const status = words => { part('status').textContent = words; };
const CIVIDIS = [[0, 32, 76], [60, 77, 110], [124, 123, 120], [187, 175, 113], [255, 234, 70]]; // dark blue to yellow
const MOST_CLASSES = 8;

let network, told;
const turn = { asked: 0 }; // only the newest picture is shown

// ---- drawing ----

// A colour for each place: `paint(pixel, place)` fills its red, green and blue.
function painted(size, paint) {
  const picture = new ImageData(size, size);
  const { data } = picture;
  for (let i = 0, k = 0; i < size * size; i++, k += 4) {
    paint(data, k, i);
    data[k + 3] = 255;
  }
  return picture;
}

function pixels(image, size) {
  return painted(size, (data, k, i) => { for (let c = 0; c < 3; c++) data[k + c] = image[3 * i + c]; });
}

// 256 colours between the five of CIVIDIS.
const HEAT = Array.from({ length: 256 }, (_, level) => {
  const place = level / 255 * (CIVIDIS.length - 1);
  const k = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return CIVIDIS[k].map((low, c) => low + (place - k) * (CIVIDIS[k + 1][c] - low));
});

// For each pixel the two places of the map between which it lies, and how near it is to the second.
function between(places, size) {
  return Array.from({ length: size }, (_, pixel) => {
    const at = Math.min(Math.max((pixel + 0.5) * places / size - 0.5, 0), places - 1);
    const low = Math.floor(at);
    return { low, high: Math.min(low + 1, places - 1), share: at - low };
  });
}

// The map over the picture in grey. Between its places it is read off as a straight line, as bilinear resizing does.
function withMap(image, size, { h, w, values }) {
  const scale = 255 / Math.max(...values, 1e-6);
  const rows = between(h, size), columns = between(w, size);
  return painted(size, (data, k, i) => {
    const row = rows[Math.floor(i / size)], column = columns[i % size];
    const upper = row.low * w, lower = row.high * w;
    const above = values[upper + column.low] + column.share * (values[upper + column.high] - values[upper + column.low]);
    const below = values[lower + column.low] + column.share * (values[lower + column.high] - values[lower + column.low]);
    const heat = HEAT[Math.round(scale * (above + row.share * (below - above)))];
    const grey = (image[3 * i] + image[3 * i + 1] + image[3 * i + 2]) / 3;
    for (let c = 0; c < 3; c++) data[k + c] = 0.45 * grey + 0.55 * heat[c];
  });
}

function viewName([quarters, mirrored]) {
  const words = mirrored ? ['mirrored'] : [];
  if (quarters) words.push(`turned by ${90 * quarters}°`);
  return words.join(', ') || 'as it is';
}

// ---- the answer ----

function row(label, p) {
  const line = document.createElement('tr');
  const [name, bar, number] = ['th', 'td', 'td'].map(kind => line.appendChild(document.createElement(kind)));
  name.scope = 'row';
  name.textContent = label;
  const meter = bar.appendChild(document.createElement('meter'));
  meter.value = p;
  meter.setAttribute('aria-label', `probability of ${label}`);
  number.textContent = percent(p);
  return line;
}

function showView() {
  const { facts } = network;
  const k = Number(part('view').value);
  const view = told.views[k];
  const label = facts.labels[told.named];
  const mapped = view.map && part('with-map').checked;
  part('view-name').textContent = viewName(facts.views[k]);
  const data = mapped ? withMap(view.image, facts.size, view.map) : pixels(view.image, facts.size);
  part('shown').getContext('2d').putImageData(data, 0, 0);
  const words = mapped ? `Evidence for ${label}: yellow is most, dark blue none.` : 'What the network was shown.';
  part('caption').textContent = words;
  part('shown').setAttribute('aria-label', words);
  const order = [...view.probs.keys()].sort((a, b) => view.probs[b] - view.probs[a]);
  part('classes').replaceChildren(...order.slice(0, MOST_CLASSES).map(c => row(facts.labels[c], view.probs[c])));
}

function show() {
  const { facts } = network;
  const plain = told.views[0];
  part('verdict').textContent = told.isUnlike ? facts.unknown : `${facts.labels[told.named]}, ${percent(plain.probs[told.named])}.`;
  part('verdict').classList.toggle('unknown', Boolean(told.isUnlike));
  part('agree').textContent = told.views.length > 1 ? `${told.agree} of ${told.views.length} views of it (mirrored, turned) say the same.` : '';
  part('view').max = told.views.length - 1;
  part('view').value = 0;
  part('map-choice').hidden = !plain.map;
  part('no-map').hidden = Boolean(plain.map);
  part('shown').width = part('shown').height = facts.size;
  part('answer').hidden = false;
  showView();
}

async function ask(picture) { // a file, or what `read` promises of one
  const mine = ++turn.asked;
  status('Looking …');
  try {
    const start = performance.now();
    const image = await (picture instanceof Blob ? read(picture, network.facts.size) : picture);
    for (const n_views of [1, network.facts.views.length]) { // the plain one is answered first, for whoever waits
      const found = await answer(network, image, n_views);
      if (mine !== turn.asked) return;
      told = found;
      show();
      if (n_views === 1) status(`Answered in ${(performance.now() - start).toFixed(0)} ms, here in your browser.`);
      await new Promise(resolve => setTimeout(resolve)); // lets it be drawn
    }
  } catch (error) {
    if (mine !== turn.asked) return;
    part('answer').hidden = true;
    status(error instanceof Refused ? error.message : 'This picture could not be answered: reload the page and try a smaller one.');
    if (!(error instanceof Refused)) console.error(error);
  }
}

// ---- choosing ----

async function readSample(button, size) {
  const response = await fetch(button.dataset.file);
  return read(await response.blob(), size);
}

async function askSample(button, image = readSample(button, network.facts.size)) {
  for (const sample of document.querySelectorAll('.samples button')) sample.setAttribute('aria-pressed', sample === button);
  await ask(image);
}

function askOwn(file) {
  if (!file) return;
  for (const sample of document.querySelectorAll('.samples button')) sample.setAttribute('aria-pressed', false);
  ask(file);
}

function listen() {
  for (const button of document.querySelectorAll('.samples button')) {
    button.disabled = false;
    button.addEventListener('click', () => askSample(button));
  }
  part('own').disabled = false;
  part('own').addEventListener('change', event => askOwn(event.target.files[0]));
  document.addEventListener('dragover', event => event.preventDefault());
  document.addEventListener('drop', event => { event.preventDefault(); askOwn(event.dataTransfer.files[0]); });
  part('view').addEventListener('input', showView);
  part('with-map').addEventListener('input', showView);
}

async function begin() {
  if (location.protocol === 'file:') return status('A browser runs no network from a file: type python -m http.server in this folder, and open http://127.0.0.1:8000/.');
  const facts = loadFacts();
  const sample = document.querySelector('.samples button');
  const image = sample && facts.then(({ size }) => readSample(sample, size)); // while the runtime starts
  image?.catch(() => {}); // it is told where it is asked for
  try { network = await open(facts); }
  catch (error) {
    console.error(error);
    return status('The network could not be started here: this needs a browser of 2023 or later, and all the files of this page.');
  }
  status('Ready: choose a picture.');
  listen();
  if (sample) await askSample(sample, image);
  if ('serviceWorker' in navigator) navigator.serviceWorker.register('offline.js').catch(() => {}); // the page works without, only not offline
}

begin();
