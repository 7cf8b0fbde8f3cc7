// Resampling::weights: any number of taps. Down the columns first, over whole rows of the source; then along the row.
//
// When shrinking, a source row belongs to at most two output rows. So rows are read once, top to bottom: each is added
// to the output row at hand and, in the same breath, to the next one, whose sum is carried over.
#pragma once

#include <utility>

#include "lerp.h"

namespace edgevision::EV_ISA {

constexpr int32_t kRowsAtOnce = 16;

// Source rows, and what each weighs in the output row at hand and in the next.
struct WeightedRows {
  SourceRow row[kRowsAtOnce];
  float now[kRowsAtOnce], next[kRowsAtOnce];
  int32_t count;
  bool now_fresh, next_fresh;  // whether the sum starts here
};

// Sums of rows. Packed formats keep their channels interleaved until a sum is complete, YUV has a line for each.
struct Lines {
  float* now;
  float* next;  // null: nothing is carried over
  int64_t pitch;
};

// Source columns that the picture needs. Even at both ends for YUV: two pixels share their chroma.
struct Columns {
  int32_t begin, count;
};

inline Columns source_columns(const Job& job) {
  int32_t begin = job.columns.first[0], end = 0;
  for (int32_t i = 0; i < job.columns.count; ++i) end = std::max(end, job.columns.first[i] + job.columns.taps);
  if (is_yuv(job.format)) {
    begin &= ~1;
    end += end & 1;
  }
  return {begin, end - begin};
}

// Add the rows' vectors, which `sample(row)` gives, kVectors at a time.
template <int kVectors, typename Sample>
inline void add_rows(const WeightedRows& rows, float* now, float* next, int64_t pitch, Sample sample) {
  F8 sum[kVectors], carried[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    sum[v] = rows.now_fresh ? zero() : load(now + v * pitch);
    carried[v] = rows.next_fresh || next == nullptr ? zero() : load(next + v * pitch);
  }
  for (int32_t r = 0; r < rows.count; ++r) {
    F8 value[kVectors];
    sample(rows.row[r], value);
    const F8 weight = all(rows.now[r]), weight_next = all(rows.next[r]);
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = fma(weight, value[v], sum[v]);
      carried[v] = fma(weight_next, value[v], carried[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    store(now + v * pitch, sum[v]);
    if (next != nullptr) store(next + v * pitch, carried[v]);
  }
}

// The same for one sample.
template <typename Sample>
inline void add_rows1(const WeightedRows& rows, float* now, float* next, Sample sample) {
  float sum = rows.now_fresh ? 0.0f : *now, carried = rows.next_fresh || next == nullptr ? 0.0f : *next;
  for (int32_t r = 0; r < rows.count; ++r) {
    const float value = sample(rows.row[r]);
    sum = fma1(rows.now[r], value, sum);
    carried = fma1(rows.next[r], value, carried);
  }
  *now = sum;
  if (next != nullptr) *next = carried;
}

template <Format kFormat>
inline void add_packed(const WeightedRows& rows, Columns columns, const Lines& lines) {
  constexpr int kVectors = 4;  // enough to hide the latency of a multiply-add
  const int64_t offset = static_cast<int64_t>(columns.begin) * bytes_per_pixel(kFormat);
  const int64_t count = static_cast<int64_t>(columns.count) * bytes_per_pixel(kFormat);
  const auto next = [&](int64_t i) { return lines.next == nullptr ? nullptr : lines.next + i; };
  int64_t i = 0;
  for (; i + 8 * kVectors <= count; i += 8 * kVectors) {
    add_rows<kVectors>(rows, lines.now + i, next(i), 8, [&](const SourceRow& row, F8* value) {
      for (int v = 0; v < kVectors; ++v) value[v] = from_bytes(row.plane[0] + offset + i + 8 * v);
    });
  }
  for (; i < count; ++i) {
    add_rows1(rows, lines.now + i, next(i), [&](const SourceRow& row) { return static_cast<float>(row.plane[0][offset + i]); });
  }
}

template <Format kFormat>
inline void add_yuv(const WeightedRows& rows, Columns columns, const Lines& lines, const Job& job,
                    const YuvConverter& convert) {
  const auto next = [&](int32_t i) { return lines.next == nullptr ? nullptr : lines.next + i; };
  int32_t i = 0;
  for (; i + 8 <= columns.count; i += 8) {
    const int32_t x = columns.begin + i;
    add_rows<3>(rows, lines.now + i, next(i), lines.pitch, [&](const SourceRow& row, F8* value) {
      F8 y, cb, cr;
      if constexpr (kFormat == Format::yuyv) {
        from_yuyv(row.plane[0] + 2 * x, &y, &cb, &cr);
      } else {
        y = from_bytes(row.plane[0] + x);
        if constexpr (kFormat == Format::nv12) {
          from_pairs(row.plane[1] + x, &cb, &cr);
        } else {
          cb = from_bytes_twice(row.plane[1] + x / 2);
          cr = from_bytes_twice(row.plane[2] + x / 2);
        }
      }
      convert(y, cb, cr, value);
    });
  }
  for (; i < columns.count; ++i) {
    for (int c = 0; c < 3; ++c) {
      float* after = lines.next == nullptr ? nullptr : lines.next + c * lines.pitch + i;
      add_rows1(rows, lines.now + c * lines.pitch + i, after, [&](const SourceRow& row) {
        return pixel_of_row(kFormat, row.plane, columns.begin + i, job.yuv).c[c];
      });
    }
  }
}

template <Format kFormat>
inline void add(const WeightedRows& rows, Columns columns, const Lines& lines, const Job& job,
                const YuvConverter& convert) {
  if constexpr (kFormat >= Format::nv12) add_yuv<kFormat>(rows, columns, lines, job, convert);
  else add_packed<kFormat>(rows, columns, lines);
}

// Taps of one output row, without the zero weights at either end.
struct Span {
  int32_t begin, end;
};

inline Span weighted_span(const Axis& axis, int32_t i) {
  const float* w = axis.weight + static_cast<int64_t>(i) * axis.stride;
  int32_t low = 0, high = axis.taps;
  while (low + 1 < high && w[low] == 0.0f) ++low;
  while (high - 1 > low && w[high - 1] == 0.0f) --high;
  return {axis.first[i] + low, axis.first[i] + high};
}

inline float weight_at(const Axis& axis, int32_t i, int32_t y) {
  const int32_t tap = y - axis.first[i];
  return tap < 0 || tap >= axis.taps ? 0.0f : axis.weight[static_cast<int64_t>(i) * axis.stride + tap];
}

// One line of floats for each channel, from the interleaved sums of a packed format.
template <Format kFormat>
inline void take_apart(const float* in, int32_t count, float* out, int64_t pitch) {
  constexpr int kStep = bytes_per_pixel(kFormat);
  int32_t x = 0;
  if constexpr (kStep == 3) {
    for (; x + 8 <= count; x += 8) {
      F8 channel[3];
      deinterleave3(in + 3 * x, channel);
      for (int c = 0; c < 3; ++c) store(out + c * pitch + x, channel[c]);
    }
  }
  for (; x < count; ++x) {
    for (int c = 0; c < 3; ++c) out[c * pitch + x] = in[kStep * x + c];
  }
}

// Eight output pixels from complete lines, which start at source column `begin`.
inline void across8(const Axis& columns, int32_t x, const float* lines, int64_t pitch, int32_t begin, int channels,
                    F8* out) {
  for (int c = 0; c < channels; ++c) {
    F8 part[8];
    for (int32_t i = 0; i < 8; ++i) {
      const int32_t column = std::min(x + i, columns.count - 1);
      const float* weight = columns.weight + static_cast<int64_t>(column) * columns.stride;
      const float* sample = lines + c * pitch + (columns.first[column] - begin);
      part[i] = zero();
      for (int32_t tap = 0; tap < columns.taps; tap += 8) part[i] = fma(load(weight + tap), load(sample + tap), part[i]);
    }
    out[c] = sum_parts(part);
  }
}

// Floats from one line to the next: vectors may read 8 behind the last, whose weights are zero.
inline int64_t line_pitch(Columns columns) { return (columns.count + 8 + 15) / 16 * 16; }

inline size_t weights_scratch_bytes(const Job& job) {
  return static_cast<size_t>(line_pitch(source_columns(job))) * (4 + 4 + 3) * sizeof(float);
}

template <Format kFormat>
inline void weights_picture(const Job& job, int32_t begin, int32_t end, float* scratch) {
  const Shader shade(job);
  const YuvConverter convert(job.yuv);
  const Columns columns = source_columns(job);
  const int64_t pitch = line_pitch(columns);
  constexpr bool kInterleaved = kFormat == Format::bgr || kFormat == Format::rgb || kFormat == Format::bgra;
  constexpr int kChannels = kFormat == Format::gray ? 1 : 3;
  float* now = scratch;
  float* next = scratch + 4 * pitch;
  float* apart = scratch + 8 * pitch;

  int32_t carried_to = -1;  // source row up to which `now` has been summed for this row already
  for (int32_t row = begin; row < end; ++row) {
    const Span span = weighted_span(job.rows, row);
    const int32_t start = carried_to < 0 ? span.begin : carried_to;
    // The next row's sum can start along the way if it has no row before.
    bool carries = false;
    if (row + 1 < end) {
      const Span following = weighted_span(job.rows, row + 1);
      carries = following.begin >= start && following.begin < span.end && following.end >= span.end;
    }
    for (int32_t y = start; y < span.end; y += kRowsAtOnce) {
      WeightedRows rows;
      rows.count = std::min(kRowsAtOnce, span.end - y);
      for (int32_t r = 0; r < rows.count; ++r) {
        rows.row[r] = source_row(job, y + r);
        rows.now[r] = weight_at(job.rows, row, y + r);
        rows.next[r] = carries ? weight_at(job.rows, row + 1, y + r) : 0.0f;
      }
      rows.now_fresh = y == start && carried_to < 0;
      rows.next_fresh = y == start;
      add<kFormat>(rows, columns, {now, carries ? next : nullptr, pitch}, job, convert);
    }
    const float* lines = now;
    if constexpr (kInterleaved) {
      take_apart<kFormat>(now, columns.count, apart, pitch);
      lines = apart;
    }
    write_row(job, row, [&](int32_t first, int32_t last, const FloatRows& rows) {
      const Target out = shade.target(rows);
      for (int32_t x = first; x < last; x += 8) {
        F8 pixel[3];
        across8(job.columns, x, lines, pitch, columns.begin, kChannels, pixel);
        if (kChannels == 1) pixel[1] = pixel[2] = pixel[0];
        shade(pixel, out, x - first, last - x);
      }
    });
    carried_to = carries ? span.end : -1;
    if (carries) std::swap(now, next);
  }
}

inline void weights_picture(const Job& job, int32_t begin, int32_t end, float* scratch) {
  switch (job.format) {
    case Format::bgr:
    case Format::rgb: return weights_picture<Format::bgr>(job, begin, end, scratch);
    case Format::bgra: return weights_picture<Format::bgra>(job, begin, end, scratch);
    case Format::gray: return weights_picture<Format::gray>(job, begin, end, scratch);
    case Format::nv12: return weights_picture<Format::nv12>(job, begin, end, scratch);
    case Format::i420: return weights_picture<Format::i420>(job, begin, end, scratch);
    case Format::yuyv: return weights_picture<Format::yuyv>(job, begin, end, scratch);
  }
}

}  // namespace edgevision::EV_ISA
