// Reads lines of two hexadecimal words, a pattern and a name, each after a dot; answers as llama-quantize's --tensor-type
// does: 1 found, 0 not, E for a pattern that std::regex refuses.
#include <iostream>
#include <regex>
#include <string>

static std::string bytes(const std::string& hex) {
  std::string out;
  for (size_t i = 1; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

int main() {
  std::string pattern, name, last;
  std::regex regex;
  bool valid = false;
  while (std::cin >> pattern >> name) {
    if (pattern != last) {
      last = pattern;
      try {
        regex = std::regex(bytes(pattern));
        valid = true;
      } catch (const std::regex_error&) {
        valid = false;
      }
    }
    std::cout << (!valid ? 'E' : std::regex_search(bytes(name), regex) ? '1' : '0');
  }
  std::cout << std::endl;
}
