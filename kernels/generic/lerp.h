// Resampling::lerp: each output pixel gathers at most 2×2 source pixels; a source row without weight is not read.
#pragma once

#include "normalise.h"
#include "yuv.h"

namespace edgevision::EV_ISA {

// The rows of each plane that hold row y of the frame.
struct SourceRow {
  const uint8_t* plane[3];
};

inline SourceRow source_row(const RowJob& job, int32_t y) {
  const int32_t chroma = job.format == Format::yuyv ? y : y >> 1;
  return {{job.plane[0] + y * job.pitch[0], job.plane[1] + chroma * job.pitch[1],
           job.plane[2] + chroma * job.pitch[2]}};
}

constexpr int bytes_per_pixel(Format format) {
  return format == Format::bgra ? 4 : format == Format::yuyv ? 2 : format == Format::bgr || format == Format::rgb ? 3 : 1;
}

// Prefetches the source rows of a later output row, a cache line at a time, while this row is computed: a camera's
// frame comes from memory, and the hardware does not predict rows that lie far apart.
template <Format kFormat>
class Prefetcher {
 public:
  Prefetcher(const RowJob& job, int32_t row, int32_t end) {
    const int32_t current = job.rows.first[row];
    const int32_t ahead = row + 1 + 128 / job.columns.count;  // a few hundred pixels of work: time for a cache miss
    if (ahead >= end) return;
    const int32_t y = job.rows.first[ahead];
    if (y < current + job.rows.taps) return;  // enlarging: the rows are in the cache already
    const bool two = job.rows.taps > 1 && job.rows.weight[ahead] > 0.0f;
    const SourceRow top = source_row(job, y), bottom = source_row(job, two ? y + 1 : y);
    row_[0] = top.plane[0];
    row_[1] = bottom.plane[0];
    if (kRows > 2) {
      row_[2] = top.plane[1];
      row_[3] = bottom.plane[1];
    }
    next_ = static_cast<int64_t>(job.columns.first[0]) * bytes_per_pixel(kFormat);
  }

  EV_INLINE void upto(int64_t byte) {
    for (; next_ < byte; next_ += 64) {
      for (int i = 0; i < kRows; ++i) prefetch(row_[i] + next_);
    }
  }

 private:
  static constexpr int kRows = kFormat == Format::nv12 ? 4 : 2;
  const uint8_t* row_[kRows]{};
  int64_t next_ = INT64_MAX;
};

// Eight YUV pixels of one row, converted to B, G, R and, if kPairs, interpolated with their right neighbours.
template <Format kFormat, bool kPairs>
EV_INLINE void yuv8(const SourceRow& row, const int32_t* first, F8 share, const YuvConverter& convert, F8* out) {
  const I8 x = load_ints(first);
  I8 y[2], cb[2], cr[2];
  if constexpr (kFormat == Format::yuyv) {  // Y0 Cb Y1 Cr for two pixels
    for (int side = 0; side < (kPairs ? 2 : 1); ++side) {
      const I8 pair = gather(row.plane[0], first, [side](int32_t v) { return static_cast<ptrdiff_t>((v + side) >> 1) * 4; });
      const I8 odd = times(masked(x, 1), 16);
      y[side] = shift_right(pair, side == 0 ? odd : flipped(odd, 16));
      cb[side] = shift_right(pair, 8);
      cr[side] = shift_right(pair, 24);
    }
  } else {
    y[0] = gather(row.plane[0], first, [](int32_t v) { return static_cast<ptrdiff_t>(v); });
    y[1] = shift_right(y[0], 8);
    if constexpr (kFormat == Format::nv12) {  // Cb0 Cr0 Cb1 Cr1
      cb[0] = gather(row.plane[1], first, [](int32_t v) { return static_cast<ptrdiff_t>(v & ~1); });
      cb[1] = shift_right(cb[0], times(masked(x, 1), 16));  // an odd pixel's neighbour has the next pair
      for (int side = 0; side < 2; ++side) cr[side] = shift_right(cb[side], 8);
    } else {
      const I8 odd = times(masked(x, 1), 8);
      const auto half = [](int32_t v) { return static_cast<ptrdiff_t>(v >> 1); };
      cb[0] = gather(row.plane[1], first, half);
      cr[0] = gather(row.plane[2], first, half);
      cb[1] = shift_right(cb[0], odd);
      cr[1] = shift_right(cr[0], odd);
    }
  }
  const auto byte = [](I8 v) { return to_float(masked(v, 255)); };
  convert(byte(y[0]), byte(cb[0]), byte(cr[0]), out);
  if constexpr (kPairs) {
    F8 right[3];
    convert(byte(y[1]), byte(cb[1]), byte(cr[1]), right);
    for (int c = 0; c < 3; ++c) out[c] = fma(share, sub(right[c], out[c]), out[c]);
  }
}

// Eight pixels of the picture, not yet normalised.
template <Format kFormat, bool kPairs, bool kTwoRows>
EV_INLINE void resample8(const SourceRow& top, const SourceRow& bottom, const int32_t* first, F8 share_x, F8 share_y,
                      const YuvConverter& convert, F8* out) {
  if constexpr (kFormat == Format::bgr || kFormat == Format::rgb || kFormat == Format::bgra) {
    packed8<bytes_per_pixel(kFormat), kPairs, kTwoRows>(top.plane[0], bottom.plane[0], first, share_x, share_y, out);
  } else if constexpr (kFormat == Format::gray) {
    const auto row = [&](const uint8_t* base) {
      const I8 pair = gather(base, first, [](int32_t v) { return static_cast<ptrdiff_t>(v); });
      const F8 left = to_float(masked(pair, 255));
      if (!kPairs) return left;
      return fma(share_x, sub(to_float(masked(shift_right(pair, 8), 255)), left), left);
    };
    out[0] = row(top.plane[0]);
    if (kTwoRows) out[0] = fma(share_y, sub(row(bottom.plane[0]), out[0]), out[0]);
    out[1] = out[2] = out[0];
  } else {
    yuv8<kFormat, kPairs>(top, first, share_x, convert, out);
    if constexpr (kTwoRows) {
      F8 below[3];
      yuv8<kFormat, kPairs>(bottom, first, share_x, convert, below);
      for (int c = 0; c < 3; ++c) out[c] = fma(share_y, sub(below[c], out[c]), out[c]);
    }
  }
}

template <Format kFormat, bool kPairs, bool kTwoRows>
inline void lerp_row(const RowJob& job, int32_t row, int32_t last_row, const Normaliser& normalise,
                     const YuvConverter& convert) {
  const int32_t y = job.rows.first[row];
  const SourceRow top = source_row(job, y), bottom = kTwoRows ? source_row(job, y + 1) : top;
  const F8 share_y = all(kTwoRows ? job.rows.weight[row] : 0.0f);
  const int32_t* first = job.columns.first;
  const float* share = job.columns.weight;
  Prefetcher<kFormat> ahead(job, row, last_row);
  write_row(job, row, [&](int32_t begin, int32_t end, const FloatRows& rows) EV_INLINE_LAMBDA {
    const Target out = normalise.target(rows);
    for (int32_t x = begin; x < end; x += 8) {
      F8 pixel[3];
      resample8<kFormat, kPairs, kTwoRows>(top, bottom, first + x, load(share + x), share_y, convert, pixel);
      normalise(pixel, out, x - begin, end - x);
      ahead.upto(static_cast<int64_t>(first[x + 7] + 1) * bytes_per_pixel(kFormat));
    }
  });
}

template <Format kFormat>
inline void lerp_picture(const RowJob& job, int32_t begin, int32_t end) {
  const Normaliser normalise(job);
  const YuvConverter convert(job.yuv);
  const bool pairs = job.columns.taps > 1;
  for (int32_t row = begin; row < end; ++row) {
    const bool two = job.rows.taps > 1 && job.rows.weight[row] != 0.0f;  // a row without weight need not be read
    if (pairs && two) lerp_row<kFormat, true, true>(job, row, end, normalise, convert);
    else if (pairs) lerp_row<kFormat, true, false>(job, row, end, normalise, convert);
    else if (two) lerp_row<kFormat, false, true>(job, row, end, normalise, convert);
    else lerp_row<kFormat, false, false>(job, row, end, normalise, convert);
  }
}

inline void lerp_picture(const RowJob& job, int32_t begin, int32_t end) {
  switch (job.format) {
    case Format::bgr:
    case Format::rgb: return lerp_picture<Format::bgr>(job, begin, end);
    case Format::bgra: return lerp_picture<Format::bgra>(job, begin, end);
    case Format::gray: return lerp_picture<Format::gray>(job, begin, end);
    case Format::nv12: return lerp_picture<Format::nv12>(job, begin, end);
    case Format::i420: return lerp_picture<Format::i420>(job, begin, end);
    case Format::yuyv: return lerp_picture<Format::yuyv>(job, begin, end);
  }
}

}  // namespace edgevision::EV_ISA
