// Pictures from their packed planes: one look-up a dot. A way to look is a table of 65,536 colours, so that
// switching is one pass over the picture, here, without asking anybody.

const KEPT_FILMS = 24;
const KEPT_DIFFERENCES = 24;
const STRIPE = 4;                // dots of a difference's map

export class Darkroom {
  constructor() {
    this.films = new Map();      // picture id -> Promise<Film>
    this.tables = new Map();     // table/mode -> Promise<Uint8Array>
    this.tinted = new Map();     // look key -> Uint32Array of 65,536 colours
    this.differences = new Map();  // table/picture/reference -> Promise<{canvas, common} | {why}>
  }

  film(picture) {
    let film = this.films.get(picture);
    if (film === undefined) {
      film = fetchFilm(picture);
      this.films.set(picture, film);
      film.then(made => { film.ready = made; }, () => {
        if (this.films.get(picture) === film) this.films.delete(picture);
      });
      while (this.films.size > KEPT_FILMS) this.films.delete(this.films.keys().next().value);
    } else {                     // the one used last is dropped last
      this.films.delete(picture);
      this.films.set(picture, film);
    }
    return film;
  }

  ready(picture) {
    const film = this.films.get(picture);
    return film === undefined ? null : film.ready ?? null;
  }

  // Where a picture differs from a reference: a canvas to be laid over it, or why there is none. Asked for when an
  // officer asks for it; `ready` is set when it has come. Another table is another calibration, which sees both
  // pictures a little otherwise.
  difference(picture, reference, table) {
    const key = `${table}/${picture}/${reference}`;
    let asked = this.differences.get(key);
    if (asked === undefined) {
      asked = fetchDifference(picture, reference);
      this.differences.set(key, asked);
      asked.then(made => { asked.ready = made; }, () => this.differences.delete(key));
      while (this.differences.size > KEPT_DIFFERENCES) this.differences.delete(this.differences.keys().next().value);
    }
    return asked;
  }

  async load(table, mode) {
    const key = `${table}/${mode}`;
    if (!this.tables.has(key)) {
      const loading = (async () => {
        const answer = await fetch(`/v1/tables/${encodeURIComponent(table)}/${encodeURIComponent(mode)}.bin`);
        if (!answer.ok) throw new Error(`table ${key}: ${answer.status}`);
        return new Uint8Array(await answer.arrayBuffer());
      })();
      this.tables.set(key, loading);
      loading.then(made => { loading.ready = made; }, () => this.tables.delete(key));
    }
    return this.tables.get(key);
  }

  // The colours of a look, or null while its table is on its way.
  colours(look) {
    const key = lookKey(look);
    const done = this.tinted.get(key);
    if (done !== undefined) return done;
    const table = this.tables.get(`${look.table}/${look.mode}`)?.ready;
    if (table === undefined) return null;
    const tone = new Uint8Array(256);
    for (let level = 0; level < 256; level++) {
      const value = (level / 255 - 0.5) * look.contrast + 0.5 + look.brightness;
      tone[level] = Math.max(0, Math.min(255, Math.round(value * 255)));
    }
    const made = new Uint32Array(65536);
    for (let cell = 0; cell < 65536; cell++) {
      const at = cell * 4;
      made[cell] = 0xff000000 | (tone[table[at + 2]] << 16) | (tone[table[at + 1]] << 8) | tone[table[at]];
    }
    if (this.tinted.size > 40) this.tinted.clear();
    this.tinted.set(key, made);
    return made;
  }

  // The picture as a canvas in this look, or null while something is on its way.
  developed(picture, look) {
    const film = this.ready(picture), colours = this.colours(look);
    return film === null || colours === null ? null : film.developed(look, colours);
  }
}

export function lookKey(look) {
  return `${look.table}/${look.mode}/${look.brightness}/${look.contrast}`;
}

class Film {
  constructor(width, height, cells) {
    this.width = width;
    this.height = height;
    this.cells = cells;
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = height;
    this.pen = this.canvas.getContext("2d", { alpha: false });
    this.image = this.pen.createImageData(width, height);
    this.dots = new Uint32Array(this.image.data.buffer);
    this.key = "";
  }

  developed(look, colours) {
    const key = `${lookKey(look)}/${look.edge}`;
    if (this.key === key) return this.canvas;
    const { cells, dots } = this;
    for (let at = 0; at < cells.length; at++) dots[at] = colours[cells[at]];
    if (look.edge) this.sharpen();
    this.pen.putImageData(this.image, 0, 0);
    this.key = key;
    return this.canvas;
  }

  // What differs from its neighbours in the high channel is added once more. Most dots do not: the few that do
  // are found once a picture.
  sharpen() {
    this.edges ??= edgesOf(this);
    const { places, differences } = this.edges, bytes = this.image.data;
    for (let n = 0; n < places.length; n++) {
      const place = places[n], by = differences[n];
      bytes[place] -= by; bytes[place + 1] -= by; bytes[place + 2] -= by;
    }
  }
}

function edgesOf({ cells, width, height }) {
  const places = new Uint32Array(cells.length), differences = new Int16Array(cells.length);
  let found = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * width + 1, end = at + width - 2; at < end; at++) {
      const differs = 4 * (cells[at] & 255) - (cells[at - 1] & 255) - (cells[at + 1] & 255)
        - (cells[at - width] & 255) - (cells[at + width] & 255);
      if (differs > 3 || differs < -3) { places[found] = at * 4; differences[found++] = differs; }
    }
  }
  return { places: places.slice(0, found), differences: differences.slice(0, found) };
}

async function fetchFilm(picture) {
  const answer = await fetch(`/v1/pictures/${encodeURIComponent(picture)}/planes.png`);
  if (!answer.ok) throw new Error(`picture ${picture}: ${answer.status}`);
  const bitmap = await createImageBitmap(await answer.blob(), {
    colorSpaceConversion: "none", premultiplyAlpha: "none",
  });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const bytes = pen.getImageData(0, 0, width, height).data;
  const cells = new Uint16Array(width * height);
  for (let at = 0, from = 0; at < cells.length; at++, from += 4) cells[at] = (bytes[from] << 8) | bytes[from + 1];
  return new Film(width, height, cells);
}

async function fetchDifference(picture, reference) {
  const path = `/v1/pictures/${encodeURIComponent(picture)}/differences/${encodeURIComponent(reference)}.png`;
  const answer = await fetch(path);
  if (answer.status === 422) return { why: (await answer.json()).words };
  if (!answer.ok) throw new Error(`difference ${picture} ${reference}: ${answer.status}`);
  const bitmap = await createImageBitmap(await answer.blob(), {
    colorSpaceConversion: "none", premultiplyAlpha: "none",
  });
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const image = pen.getImageData(0, 0, width, height), bytes = image.data;
  let dots = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    const more = bytes[at], less = bytes[at + 1], dot = at / 4;
    const striped = Math.floor((dot % width + Math.floor(dot / width)) / STRIPE) % 2 === 0;
    const strength = 90 + 0.6 * Math.max(more, less);
    if (more || less) dots++;
    // More: one tint. Less: stripes of another.
    bytes[at] = more >= less ? 255 : 90;
    bytes[at + 1] = more >= less ? 40 : 240;
    bytes[at + 2] = 255;
    bytes[at + 3] = more > 0 && more >= less ? strength : less > 0 && striped ? strength + 40 : 0;
  }
  pen.putImageData(image, 0, 0);
  return { canvas, common: Number(answer.headers.get("X-Kakou-Common")), dots };
}

// Where a picture lies on a canvas. `zoom` 1 shows all of it; `x`, `y` is its middle, as shares of the picture.
export function placed(film, box, zoom) {
  const scale = Math.min(box.width / film.width, box.height / film.height) * zoom.scale;
  const wide = film.width * scale, tall = film.height * scale;
  return {
    scale, wide, tall,
    left: box.width / 2 - zoom.x * wide,
    top: box.height / 2 - zoom.y * tall,
  };
}

export function kept(zoom) {
  zoom.scale = Math.max(1, Math.min(16, zoom.scale));
  const half = 0.5 / zoom.scale;
  zoom.x = zoom.scale === 1 ? 0.5 : Math.max(half, Math.min(1 - half, zoom.x));
  zoom.y = zoom.scale === 1 ? 0.5 : Math.max(half, Math.min(1 - half, zoom.y));
  return zoom;
}
