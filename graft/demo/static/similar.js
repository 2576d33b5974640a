// The training images whose features point in the most similar direction.

import { load } from "./files.js";

// Returns {items, nearest(features, count), draw(canvas, index)}; null if the folder has no training images.
export async function loadSimilar(facts) {
  if (!facts.similar) return null;
  const { items, width, side, columns } = facts.similar;
  const [vectors, sheet] = await Promise.all([
    load("similar.bin").then(async (response) => new Float32Array(await response.arrayBuffer())),
    load("similar.webp").then(async (response) => createImageBitmap(await response.blob())),
  ]);
  return {
    items,
    // The vectors have length 1, so that their products with the features are in the order of the cosines.
    nearest(features, count) {
      const products = items.map((_, index) =>
        features.reduce((sum, feature, position) => sum + feature * vectors[index * width + position], 0),
      );
      return [...products.keys()].sort((left, right) => products[right] - products[left]).slice(0, count);
    },
    draw(canvas, index) {
      canvas.width = canvas.height = side;
      const x = side * (index % columns);
      const y = side * Math.floor(index / columns);
      canvas.getContext("2d").drawImage(sheet, x, y, side, side, 0, 0, side, side);
    },
  };
}
