// Pictures as the model takes them: RGB, upright, on white where transparent.

const LONGEST_SIDE = 4096;

// Returns {pixels, width, height, reduced} of an image file; raises an Error if the browser cannot decode it.
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("this browser cannot read it as an image");
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { ...fromRgba(context.getImageData(0, 0, width, height)), reduced: scale < 1 };
}

// Returns a copy of a picture whose longest side has at most so many pixels, and the canvas that shows it.
export function shrink(picture, longest) {
  const scale = Math.min(1, longest / Math.max(picture.width, picture.height));
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  const whole = new OffscreenCanvas(picture.width, picture.height);
  whole.getContext("2d").putImageData(toRgba(picture), 0, 0);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, width, height);
  return fromRgba(context.getImageData(0, 0, width, height));
}

export function toRgba({ pixels, width, height }) {
  const data = new ImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    data.data[to] = pixels[from];
    data.data[to + 1] = pixels[from + 1];
    data.data[to + 2] = pixels[from + 2];
    data.data[to + 3] = 255;
  }
  return data;
}

function fromRgba({ data, width, height }) {
  const pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from];
    pixels[to + 1] = data[from + 1];
    pixels[to + 2] = data[from + 2];
  }
  return { pixels, width, height };
}
