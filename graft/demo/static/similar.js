// The training images whose features point in the most similar direction.

// Returns {nearest(features, count), draw(canvas, index), items}, or null if the folder has no training images.
export async function loadSimilar(facts) {
  if (!facts.similar) return null;
  const { items, width, side, columns } = facts.similar;
  const [vectors, sheet] = await Promise.all([
    fetch("similar.bin").then(async (response) => new Float32Array(await response.arrayBuffer())),
    fetch("similar.webp").then(async (response) => createImageBitmap(await response.blob())),
  ]);
  return {
    items,
    nearest(features, count) {
      const length = Math.hypot(...features) || 1;
      const closeness = items.map((_, index) => {
        let product = 0;
        for (let position = 0; position < width; position++)
          product += vectors[index * width + position] * features[position];
        return product / length;
      });
      return [...closeness.keys()].sort((one, other) => closeness[other] - closeness[one]).slice(0, count);
    },
    draw(canvas, index) {
      canvas.width = canvas.height = side;
      const x = side * (index % columns);
      const y = side * Math.floor(index / columns);
      canvas.getContext("2d").drawImage(sheet, x, y, side, side, 0, 0, side, side);
    },
  };
}
