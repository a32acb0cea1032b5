// What the network says of a picture: the same numbers as Python's `answer`.
import * as ort from './ort.wasm.bundle.min.mjs';

ort.env.wasm.numThreads = 1; // several would need headers that a plain host does not send
ort.env.logLevel = 'error';

async function bytes(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response;
}

// The runtime is kept packed: a quarter of the size.
async function unpacked(address) {
  const response = await bytes(address);
  const stream = response.body.pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

export const loadFacts = () => bytes('model.json').then(response => response.json());

export async function open(facts = loadFacts()) {
  const [runtime, model, known] = await Promise.all([
    unpacked('ort.bin'),
    bytes('model.onnx').then(response => response.arrayBuffer()),
    facts,
  ]);
  ort.env.wasm.wasmBinary = runtime;
  // Rewriting the graph takes longer than it saves for a picture or two. With 8 bits nothing runs well without.
  const graphOptimizationLevel = known.optimise ? 'all' : 'disabled';
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'], graphOptimizationLevel });
  return { session, facts: known };
}

// Mirrored or not, then turned by quarters against the clock.
export function turned(image, size, quarters, mirrored) {
  if (!quarters && !mirrored) return image;
  const result = new Uint8ClampedArray(image.length);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let row = y, column = x;
      for (let k = 0; k < quarters; k++) {
        const before = row;
        row = column;
        column = size - 1 - before;
      }
      if (mirrored) column = size - 1 - column;
      const from = 3 * (row * size + column), to = 3 * (y * size + x);
      for (let c = 0; c < 3; c++) result[to + c] = image[from + c];
    }
  }
  return result;
}

function normalised(views, { size, mean, std }) {
  const places = size * size;
  const x = new Float32Array(views.length * 3 * places);
  for (let c = 0; c < 3; c++) {
    const values = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - mean[c]) / std[c]);
    views.forEach((image, v) => {
      const start = (3 * v + c) * places;
      for (let i = 0; i < places; i++) x[start + i] = values[image[3 * i + c]];
    });
  }
  return new ort.Tensor('float32', x, [views.length, 3, size, size]);
}

function calibrated(logits, temperature) {
  const highest = Math.max(...logits);
  const odds = Array.from(logits, z => Math.exp((z - highest) / temperature));
  const sum = odds.reduce((a, b) => a + b, 0);
  return odds.map(value => value / sum);
}

const largest = values => values.indexOf(Math.max(...values));

// Probabilities, map and picture of the first `n` views; the very first is the plain one.
export async function answer({ session, facts }, image, n_views = facts.views.length) {
  const images = facts.views.slice(0, n_views).map(([quarters, mirrored]) => turned(image, facts.size, quarters, mirrored));
  const outputs = await session.run({ pictures: normalised(images, facts) });
  const n = facts.labels.length;
  const maps = outputs.maps;
  const views = images.map((view, v) => {
    const probs = calibrated(outputs.logits.data.subarray(v * n, (v + 1) * n), facts.temperature);
    return { image: view, probs, named: largest(probs) };
  });
  const named = views[0].named;
  if (maps) {
    const [, , h, w] = maps.dims;
    views.forEach((view, v) => {
      const start = (v * n + named) * h * w;
      view.map = { h, w, values: Array.from(maps.data.subarray(start, start + h * w), value => Math.max(value, 0)) };
    });
  }
  const distance = facts.unlike ? outputs.distance.data[0] : null;
  return {
    named, views, distance,
    agree: views.filter(view => view.named === named).length,
    isUnlike: facts.unlike ? distance > facts.unlike.threshold : null,
  };
}
