// Classify PPM images with an exported model in C++ with OpenVINO, whose headers and libraries are in its Python package
// (../README.md has the command that compiles this file).
//
//     predict ../../artifacts/export IMAGE.ppm...
//
// Prints one line an image: its path, the class and its probability, separated by tabs. An error ends in one line on
// standard error and exit code 1, or 2 for missing arguments.

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

/// Decode a binary PPM file (P6, 8 bits, no comments) to RGB pixels, uint8 [1, H, W, 3].
ov::Tensor read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  size_t width = 0, height = 0, largest = 0;
  file >> kind >> width >> height >> largest;
  file.get();  // the single space before the pixels
  if (!file || kind != "P6" || largest != 255 || width < 1 || height < 1 || width > 20000 || height > 20000) {
    throw std::runtime_error(path + " is not a binary PPM file of 8 bits");
  }
  ov::Tensor pixels(ov::element::u8, {1, height, width, 3});
  file.read(reinterpret_cast<char*>(pixels.data<uint8_t>()), static_cast<std::streamsize>(pixels.get_size()));
  if (!file) throw std::runtime_error(path + " is incomplete");
  return pixels;
}

std::vector<std::string> read_classes(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read");
  std::vector<std::string> classes;
  for (std::string line; std::getline(file, line);) classes.push_back(line);
  return classes;
}

int main(int count, char** arguments) {
  if (count < 3) {
    std::cerr << "usage: predict FOLDER IMAGE.ppm...\n";
    return 2;
  }
  try {
    const std::string folder = arguments[1];
    const auto classes = read_classes(folder + "/labels.txt");
    ov::Core core;
    // By default, OpenVINO computes in bfloat16 where a processor can, and the probabilities differ.
    auto model = core.compile_model(folder + "/model.onnx", "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = model.create_infer_request();
    for (int index = 2; index < count; ++index) {
      request.set_tensor("image", read(arguments[index]));
      request.infer();
      const auto output = request.get_tensor("probabilities");
      const float* first = output.data<float>();
      const float* best = std::max_element(first, first + output.get_size());
      std::cout << arguments[index] << '\t' << classes.at(best - first) << '\t' << *best << '\n';
    }
  } catch (const std::exception& error) {
    std::string reason = error.what();
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    std::cerr << "error: " << reason << '\n';
    return 1;
  }
}
