// The files of the folder that this page lies in.

// Returns the response; raises an Error that names the file and says what is wrong with it.
export async function load(name) {
  let response;
  try {
    response = await fetch(new URL(name, import.meta.url));
  } catch {
    throw new Error(`${name} cannot be reached; check the connection and load the page again`);
  }
  if (!response.ok) throw new Error(`${name} is missing (${response.status}); copy the whole folder again`);
  return response;
}

// Returns the content, Uint8Array, and calls onProgress with the number of bytes so far.
export async function loadBytes(name, onProgress) {
  const reader = (await load(name)).body.getReader();
  const chunks = [];
  let size = 0;
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    chunks.push(step.value);
    size += step.value.length;
    onProgress(size);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
