// Independent pieces of work on a few threads that live as long as the call.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace prism {

// Run work(0) … work(count − 1), each once, in any order; the first exception is thrown again when all threads are done.
template <typename Work> void parallelFor(int64_t count, int threads, const Work &work) {
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failing;
  const auto take = [&] {
    try {
      for (int64_t piece = next++; piece < count; piece = next++) work(piece);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failing);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> others;
  try {
    while (static_cast<int64_t>(others.size()) + 1 < count && static_cast<int>(others.size()) + 1 < threads) {
      others.emplace_back(take);
    }
  } catch (const std::system_error &) {
    // No more threads to be had: those that started, and this one, do the work.
  }
  take();
  for (std::thread &other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

} // namespace prism
