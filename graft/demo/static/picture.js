// Pictures as the model takes them: RGB, upright, on white where transparent.

// Larger pictures would not fit into the memory of a phone.
const LONGEST_SIDE = 4096;

// Returns {canvas, reduced: whether it is smaller than the file's}; raises an Error if the browser cannot decode it.
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("this browser cannot read it as an image");
  }
  const reduced = Math.max(bitmap.width, bitmap.height) > LONGEST_SIDE;
  const canvas = reduce(bitmap, LONGEST_SIDE);
  bitmap.close();
  return { canvas, reduced };
}

// Returns a canvas with the picture, whose longest side has at most so many pixels.
export function reduce(source, longest) {
  const scale = Math.min(1, longest / Math.max(source.width, source.height));
  const width = Math.max(1, Math.round(source.width * scale));
  const height = Math.max(1, Math.round(source.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

// Returns {pixels: Uint8Array [height * width * 3], width, height} of a canvas.
export function toRgb(canvas) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from];
    pixels[to + 1] = data[from + 1];
    pixels[to + 2] = data[from + 2];
  }
  return { pixels, width, height };
}

// Returns whether the browser gives pixels as they are: some change them on purpose, against the tracking of users.
export function givesExactPixels() {
  const side = 16;
  const image = new ImageData(side, side);
  for (let place = 0; place < image.data.length; place++) image.data[place] = place % 4 === 3 ? 255 : (place * 37) % 256;
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  context.putImageData(image, 0, 0);
  const { data } = context.getImageData(0, 0, side, side);
  return data.every((value, place) => value === image.data[place]);
}
