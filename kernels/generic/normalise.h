// From resampled pixels to the tensor, eight pixels at a time: luma for a gray tensor, normalisation, dtype, layout.
#pragma once

#include <algorithm>
#include <cstring>

#include "../pixel.h"
#include "../row_job.h"

// For functions that are called inside the loops: a call that is not inlined would spill every vector register.
#define EV_INLINE inline __attribute__((always_inline))
#define EV_INLINE_LAMBDA __attribute__((always_inline))

namespace edgevision::EV_ISA {

// Columns computed at once where the floats need a tile, because the tensor is not rows of float32. The tile stays in
// the first-level cache.
constexpr int32_t kTile = 512;

// Rows of normalised floats, one for each channel of the tensor.
struct FloatRows {
  float* channel[3];
};

inline bool is_direct(const RowJob& job) {
  return job.dtype == Dtype::float32 && (job.layout == Layout::nchw || job.channels == 1);
}

// Where row `row` of the picture, from its column `column` on, lies in a tensor that is_direct.
inline FloatRows direct_rows(const RowJob& job, int32_t row, int32_t column) {
  FloatRows rows{};
  for (int32_t c = 0; c < job.channels; ++c) {
    rows.channel[c] = static_cast<float*>(job.out) +
                      (static_cast<int64_t>(c) * job.height + job.top + row) * job.width + job.left + column;
  }
  return rows;
}

// FloatRows in the order of the pixel's channels in memory.
struct Target {
  float* channel[3];
};

// Normalises eight pixels at a time.
class Normaliser {
 public:
  explicit Normaliser(const RowJob& job)
      : three_(job.channels == 3), luma_(job.channels == 1 && job.format != Format::gray) {
    for (int32_t c = 0; c < job.channels; ++c) {
      const int32_t m = job.format == Format::gray ? c : job.source[c];
      tensor_channel_[m] = c;
      scale_[m] = all(job.scale[c]);
      offset_[m] = all(job.offset[c]);
    }
    luma_weight_[0] = all(job.luma_weight[0]);
    luma_weight_[1] = all(job.luma_weight[1]);
  }

  Target target(const FloatRows& rows) const {
    return {{rows.channel[tensor_channel_[0]], rows.channel[tensor_channel_[1]], rows.channel[tensor_channel_[2]]}};
  }

  // Write pixels at … at + 7, or only the first `count` of them where there are fewer.
  EV_INLINE void operator()(const F8* pixel, const Target& out, int32_t at, int32_t count) const {
    if (three_) {
      for (int c = 0; c < 3; ++c) put(out.channel[c] + at, fma(pixel[c], scale_[c], offset_[c]), count);
      return;
    }
    F8 v = pixel[0];
    if (luma_) {
      v = fma(luma_weight_[0], sub(pixel[0], pixel[1]), fma(luma_weight_[1], sub(pixel[2], pixel[1]), pixel[1]));
    }
    put(out.channel[0] + at, fma(v, scale_[0], offset_[0]), count);
  }

 private:
  static EV_INLINE void put(float* out, F8 v, int32_t count) {
    if (count >= 8) return store(out, v);
    float lanes[8];
    store(lanes, v);
    std::memcpy(out, lanes, static_cast<size_t>(count) * sizeof(float));
  }

  bool three_, luma_;
  int32_t tensor_channel_[3]{};
  F8 scale_[3], offset_[3], luma_weight_[2];
};

template <typename T>
inline void convert8(const float* in, T* out) {
  if constexpr (sizeof(T) == 4) std::memcpy(out, in, 32);
  else if constexpr (sizeof(T) == 2) store_half(out, load(in));
  else if constexpr (T(-1) < T(0)) store_int8(out, load(in));
  else store_uint8(out, load(in));
}

// Convert `count` values; rows of a tile are padded, so that eight can be read and written at a time.
template <typename T>
inline void pack_channel(const float* in, int32_t count, T* out) {
  int32_t x = 0;
  for (; x + 8 <= count; x += 8) convert8(in + x, out + x);
  if (x < count) {
    T last[8];
    convert8(in + x, last);
    std::memcpy(out + x, last, static_cast<size_t>(count - x) * sizeof(T));
  }
}

template <typename T>
inline void pack(const RowJob& job, const FloatRows& tile, int32_t row, int32_t column, int32_t count) {
  T* out = static_cast<T*>(job.out);
  const int64_t y = job.top + row, x = job.left + column;
  if (job.layout == Layout::nchw || job.channels == 1) {
    for (int32_t c = 0; c < job.channels; ++c) {
      pack_channel(tile.channel[c], count, out + (static_cast<int64_t>(c) * job.height + y) * job.width + x);
    }
    return;
  }
  T* pixels = out + (y * job.width + x) * 3;
  T line[3][kTile + 8];
  for (int32_t c = 0; c < 3; ++c) pack_channel(tile.channel[c], count, line[c]);
  int32_t i = 0;
  for (; i + 8 <= count; i += 8) interleave3(line[0] + i, line[1] + i, line[2] + i, pixels + 3 * i);
  for (; i < count; ++i) {
    for (int32_t c = 0; c < 3; ++c) pixels[3 * i + c] = line[c][i];
  }
}

// Writes row `row` of the picture into the tensor. `make(begin, end, rows)` computes the columns begin … end - 1 as
// floats: straight into the tensor where is_direct, else into a tile that is then converted.
template <typename Make>
EV_INLINE void write_row(const RowJob& job, int32_t row, Make make) {
  if (is_direct(job)) return make(0, job.columns.count, direct_rows(job, row, 0));
  float tile[3][kTile + 8];
  const FloatRows rows = {{tile[0], tile[1], tile[2]}};
  for (int32_t begin = 0; begin < job.columns.count; begin += kTile) {
    const int32_t count = std::min(kTile, job.columns.count - begin);
    make(begin, begin + count, rows);
    switch (job.dtype) {
      case Dtype::float32: pack<float>(job, rows, row, begin, count); break;
      case Dtype::float16: pack<uint16_t>(job, rows, row, begin, count); break;
      case Dtype::uint8: pack<uint8_t>(job, rows, row, begin, count); break;
      case Dtype::int8: pack<int8_t>(job, rows, row, begin, count); break;
    }
  }
}

}  // namespace edgevision::EV_ISA
