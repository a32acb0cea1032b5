// From a file to what the network wants, as Python does it: the contract in the model's facts, step by step.

export const MOST_BYTES = 20e6;
export const MOST_PIXELS = 50e6;

// ---- the resize: Pillow's, to the last bit ----

const BITS = 22; // Pillow weighs with whole numbers of so many bits behind the point
const HALF = 2 ** (BITS - 1);

function bicubic(x, a = -0.5) {
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// For each pixel of the result: the first pixel that it is made of, and their weights. A smaller picture has a wider filter.
function weights(inputs, outputs, start, length) {
  const scale = length / outputs;
  const wide = Math.max(scale, 1);
  const rows = [];
  for (let i = 0; i < outputs; i++) {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - 2 * wide + 0.5), 0);
    const end = Math.min(Math.trunc(centre + 2 * wide + 0.5), inputs);
    const row = [];
    for (let j = first; j < end; j++) row.push(bicubic((j - centre + 0.5) / wide));
    const sum = row.reduce((a, b) => a + b, 0);
    rows.push({ first, row: Int32Array.from(row, w => Math.round(w / sum * 2 ** BITS)) });
  }
  return rows;
}

// One pass: the sums of `row` over three colours, each rounded to a byte. `step` is how far the next pixel lies.
function weigh(from, at, step, row, into, place) {
  let red = HALF, green = HALF, blue = HALF;
  for (let k = 0; k < row.length; k++, at += step) {
    red += row[k] * from[at];
    green += row[k] * from[at + 1];
    blue += row[k] * from[at + 2];
  }
  into[place] = red >> BITS; // what is below 0 or above 255 is clamped by the array
  into[place + 1] = green >> BITS;
  into[place + 2] = blue >> BITS;
}

// The centre square of RGBA pixels, `size`×`size` RGB: across first, then down, each rounded to bytes.
export function square(rgba, width, height, size) {
  const side = Math.min(width, height);
  const across = weights(width, size, (width - side) / 2, side);
  const down = weights(height, size, (height - side) / 2, side);
  const line = 3 * size;
  const top = down[0].first, bottom = down[size - 1].first + down[size - 1].row.length; // no other lines are asked for
  const between = new Uint8ClampedArray(height * line);
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < size; x++) weigh(rgba, 4 * (y * width + across[x].first), 4, across[x].row, between, y * line + 3 * x);
  }
  const result = new Uint8ClampedArray(size * line);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) weigh(between, down[y].first * line + 3 * x, line, down[y].row, result, y * line + 3 * x);
  }
  return result;
}

// ---- reading ----

export class Refused extends Error {}

function natural(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => reject(new Refused('This file is no picture that this browser can read: take a JPEG, PNG, WebP, GIF or BMP.'));
    image.src = address;
  });
}

// Throws `Refused`, with a sentence, before anything large is decoded.
async function check(blob) {
  const millions = n => (n / 1e6).toFixed(0);
  if (blob.size > MOST_BYTES) throw new Refused(`This file has ${millions(blob.size)} MB, and at most ${millions(MOST_BYTES)} are taken: make the picture smaller.`);
  const head = new Uint8Array(await blob.slice(0, 26).arrayBuffer());
  const isPng = head[0] === 0x89 && head[1] === 0x50;
  if (isPng && head[24] === 16) throw new Refused('This picture has 16 bits a colour, of which a browser shows eight: save it with 8 bits, or use the app.');
  const address = URL.createObjectURL(blob);
  try {
    const [width, height] = await natural(address);
    if (width * height > MOST_PIXELS) throw new Refused(`This picture has ${millions(width * height)} million pixels, and at most ${millions(MOST_PIXELS)} million are taken: make it smaller.`);
  } finally { URL.revokeObjectURL(address); }
}

// RGB bytes `size`×`size` of a file. The browser turns it as its EXIF says; colours are taken as they stand.
export async function read(blob, size) {
  await check(blob);
  let bitmap;
  try { bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' }); }
  catch { throw new Refused('This picture is damaged: it begins like one and cannot be read to its end.'); }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  canvas.fillStyle = 'white';
  canvas.fillRect(0, 0, width, height);
  canvas.drawImage(bitmap, 0, 0);
  bitmap.close();
  return square(canvas.getImageData(0, 0, width, height).data, width, height, size);
}
