// What one thread of the CUDA kernel does, for host and device: tests/native/check_cuda_host.cpp runs it on the CPU.
//
// A warp prepares kTileColumns columns of one row of the tensor, kPixels a thread. The maths is pixel.h's; what differs
// is how memory is reached:
//  - Neighbouring threads take neighbouring columns, or neighbouring pairs where elements are smaller than 32 bits. So
//    a load of a warp touches few cache lines, 1–4 for a usual reduction, and a store to a plane is coalesced. Four
//    adjacent columns to a thread would save nine stores among a few hundred instructions, and touch four times as many
//    cache lines with each load.
//  - A thread loads all its kPixels of the next row before it computes the first of this one, through the read-only
//    cache. Adjacent samples are one load where they are aligned. Every byte read belongs to one of the pixels' taps: nothing is read outside.
//  - Pad is selected at the end, without a branch; rows and tiles that are all pad are written kPixels elements a store.
#pragma once

#include "../pixel.h"

#if defined(__CUDACC__)
#define EV_UNROLL _Pragma("unroll")
#define EV_TILE static __device__ __forceinline__
#define EV_COLD static __device__ __noinline__
#else
#define EV_UNROLL
#define EV_TILE inline
#define EV_COLD inline
#endif

namespace edgevision {

// What the CUDA kernel is given for each item of a batch: a RowJob whose pointers are addresses on the device.
using CudaJob = RowJob;

namespace tile {

constexpr int32_t kLanes = 32;
constexpr int32_t kPixels = 2;                      // of a row, per thread
constexpr int32_t kTileColumns = kLanes * kPixels;  // per warp
constexpr int32_t kWarps = 4;
constexpr int32_t kBlocks = 6;     // per multiprocessor: leaves 80 registers to a thread, enough that linear interpolation spills none
constexpr int32_t kTileRows = 32;  // per block: kTileRows / kWarps per warp, all in the same columns

// Read-only for as long as the kernel runs; aligned to its size.
template <typename T>
EV_HD T load(const void* p) {
#if defined(__CUDA_ARCH__)
  return __ldg(static_cast<const T*>(p));
#else
  T value;
  memcpy(&value, p, sizeof value);
  return value;
#endif
}

EV_HD int32_t min1(int32_t a, int32_t b) { return a < b ? a : b; }

// Memory of the tensor, aligned to the value's size. In assembly, because the compiler cannot see that `p` is global
// memory, and would keep loads from moving over the store.
#if defined(__CUDA_ARCH__)
EV_HD void write(void* p, uint64_t v) { asm volatile("st.global.u64 [%0], %1;" ::"l"(p), "l"(v)); }
EV_HD void write(void* p, uint32_t v) { asm volatile("st.global.u32 [%0], %1;" ::"l"(p), "r"(v)); }
EV_HD void write(void* p, uint16_t v) { asm volatile("st.global.u16 [%0], %1;" ::"l"(p), "h"(v)); }
EV_HD void write(void* p, uint8_t v) { asm volatile("st.global.u8 [%0], %1;" ::"l"(p), "r"(static_cast<uint32_t>(v))); }
#else
template <typename T>
EV_HD void write(void* p, T value) {
  memcpy(p, &value, sizeof value);
}
#endif

EV_HD bool aligned(const void* p, int64_t pitch, uint32_t to) {
  return ((reinterpret_cast<uintptr_t>(p) | static_cast<uint64_t>(pitch)) & (to - 1)) == 0;
}

// Whether the samples that load_samples reads at once are aligned. If not, pixel.h reads them byte by byte.
EV_HD bool samples_are_aligned(const RowJob& job) {
  switch (job.format) {
    case Format::bgra:
    case Format::yuyv: return aligned(job.plane[0], job.pitch[0], 4);
    case Format::nv12: return aligned(job.plane[1], job.pitch[1], 2);
    default: return true;
  }
}

// The place of a source row in each plane.
struct SourceRow {
  const uint8_t* plane[3];
};

// The same pointer, of which the compiler knows nothing: else it takes the sum apart again that made it, and multiplies
// row and pitch for each sample.
EV_HD const uint8_t* settled(const uint8_t* p) {
#if defined(__CUDA_ARCH__)
  asm("" : "+l"(p));
#endif
  return p;
}

template <Format F>
EV_HD SourceRow source_row(const RowJob& job, int32_t y) {
  SourceRow row = {{settled(job.plane[0] + y * job.pitch[0]), nullptr, nullptr}};
  if (F == Format::nv12 || F == Format::i420) row.plane[1] = settled(job.plane[1] + (y >> 1) * job.pitch[1]);
  if (F == Format::i420) row.plane[2] = settled(job.plane[2] + (y >> 1) * job.pitch[2]);
  return row;
}

// A pixel as it is loaded. `first`: one sample, or all those of BGRA and YUYV. `second`: one sample, or both of NV12's
// chroma.
struct Samples {
  uint32_t first, second, third;
};

// Offsets within a row are unsigned, because they are added to a pointer: no sign has to be extended.
template <Format F>
EV_HD Samples load_samples(const SourceRow& row, int32_t column) {
  const uint32_t x = static_cast<uint32_t>(column);
  Samples s = {0, 0, 0};
  switch (F) {
    case Format::bgr:
    case Format::rgb: {
      const uint8_t* p = row.plane[0] + x * 3;
      s = {load<uint8_t>(p), load<uint8_t>(p + 1), load<uint8_t>(p + 2)};
      break;
    }
    case Format::bgra: s.first = load<uint32_t>(row.plane[0] + x * 4); break;
    case Format::gray: s.first = load<uint8_t>(row.plane[0] + x); break;
    case Format::nv12:
      s = {load<uint8_t>(row.plane[0] + x), load<uint16_t>(row.plane[1] + (x & ~1u)), 0};
      break;
    case Format::i420:
      s = {load<uint8_t>(row.plane[0] + x), load<uint8_t>(row.plane[1] + (x >> 1)),
           load<uint8_t>(row.plane[2] + (x >> 1))};
      break;
    case Format::yuyv: s.first = load<uint32_t>(row.plane[0] + (x >> 1) * 4); break;
  }
  return s;
}

// Byte `index` of a word, as a number. The GPU puts it into the lowest byte of 2^23, where a unit is the last place, and
// subtracts that: two quick instructions, exact, in place of a conversion that most cards do at a quarter of the rate.
EV_HD float byte_of(uint32_t word, int32_t index) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7650u | static_cast<uint32_t>(index))) - 8388608.0f;
#else
  return static_cast<float>((word >> (8 * index)) & 0xffu);
#endif
}

template <Format F>
EV_HD Pixel decode(const Samples& s, int32_t x, const YuvMatrix& yuv) {
  switch (F) {
    case Format::bgr:
    case Format::rgb: return {{static_cast<float>(s.first), static_cast<float>(s.second), static_cast<float>(s.third)}};
    case Format::bgra: return {{byte_of(s.first, 0), byte_of(s.first, 1), byte_of(s.first, 2)}};
    case Format::gray: {
      const float v = static_cast<float>(s.first);
      return {{v, v, v}};
    }
    case Format::nv12:
      return yuv_pixel(static_cast<float>(s.first), chroma_terms(byte_of(s.second, 0), byte_of(s.second, 1), yuv), yuv);
    case Format::i420:
      return yuv_pixel(static_cast<float>(s.first),
                       chroma_terms(static_cast<float>(s.second), static_cast<float>(s.third), yuv), yuv);
    default:
      return yuv_pixel(byte_of(s.first, (x & 1) * 2), chroma_terms(byte_of(s.first, 1), byte_of(s.first, 3), yuv), yuv);
  }
}

EV_HD Pixel mix(const Pixel& a, const Pixel& b, float share_of_b) {
  Pixel p;
  EV_UNROLL
  for (int c = 0; c < 3; ++c) p.c[c] = lerp1(a.c[c], b.c[c], share_of_b);
  return p;
}

// The columns of the tensor that a thread prepares, and their taps. Computed once, used for each of its rows.
struct Columns {
  int32_t column[kPixels];  // of the tensor; may lie beyond its width
  int32_t x[kPixels];       // source pixel; for columns outside the picture that of its first, not used
  float share[kPixels];     // of pixel x + 1
  bool inside[kPixels];     // of the picture
};

// Whether the two pixels of a thread are neighbours, so that one store writes both. Else they lie a warp's width apart.
EV_HD bool neighbours(const RowJob& job) { return job.layout == Layout::nchw && job.dtype != Dtype::float32; }

EV_HD Columns tile_columns(const RowJob& job, int32_t first_column, int32_t lane) {
  const bool pair = neighbours(job);
  Columns columns;
  EV_UNROLL
  for (int32_t k = 0; k < kPixels; ++k) {
    columns.column[k] = first_column + (pair ? kPixels * lane + k : lane + kLanes * k);
    const int32_t at = columns.column[k] - job.left;
    columns.inside[k] = at >= 0 && at < job.columns.count;
    const int32_t index = columns.inside[k] ? at : 0;
    columns.x[k] = load<int32_t>(job.columns.first + index);
    columns.share[k] = job.columns.taps > 1 ? load<float>(job.columns.weight + index) : 0.0f;
  }
  return columns;
}

// What one row of the picture is made of in the thread's columns.
struct RowSamples {
  Samples at[kPixels][4];  // above left, above right, below left, below right
  float share;             // of the row below
};

// kAcross, kDown: whether the axis has two taps.
template <Format F, bool kAcross, bool kDown>
EV_HD RowSamples load_row(const RowJob& job, const Columns& columns, int32_t row) {
  RowSamples samples;
  const int32_t y = load<int32_t>(job.rows.first + row);
  samples.share = kDown ? load<float>(job.rows.weight + row) : 0.0f;
  const SourceRow above = source_row<F>(job, y), below = source_row<F>(job, kDown ? y + 1 : y);
  EV_UNROLL
  for (int32_t k = 0; k < kPixels; ++k) {
    const int32_t x = columns.x[k];
    samples.at[k][0] = load_samples<F>(above, x);
    if (kAcross) samples.at[k][1] = load_samples<F>(above, x + 1);
    if (kDown) samples.at[k][2] = load_samples<F>(below, x);
    if (kDown && kAcross) samples.at[k][3] = load_samples<F>(below, x + 1);
  }
  return samples;
}

// Resampling::lerp of one pixel.
template <Format F, bool kAcross, bool kDown>
EV_HD Pixel lerp_pixel(const RowJob& job, const Columns& columns, const RowSamples& samples, int32_t k) {
  const int32_t x = columns.x[k];
  Pixel pixel = decode<F>(samples.at[k][0], x, job.yuv);
  if (kAcross) pixel = mix(pixel, decode<F>(samples.at[k][1], x + 1, job.yuv), columns.share[k]);
  if (!kDown) return pixel;
  Pixel under = decode<F>(samples.at[k][2], x, job.yuv);
  if (kAcross) under = mix(under, decode<F>(samples.at[k][3], x + 1, job.yuv), columns.share[k]);
  return mix(pixel, under, samples.share);
}

// The tensor's channel that memory channel m becomes: RowJob::source the other way round. Both orders that there are,
// as they lie and reversed, are their own inverse; GRAY fills three channels alike.
EV_HD int32_t tensor_channel(const RowJob& job, int32_t m) { return job.format == Format::gray ? m : job.source[m]; }

// tensor_value of pixel.h, for channel c of the tensor and m of memory. The caller knows m when it is compiled: an
// index that is known only at run time would put the pixel in local memory, or cost a choice of three.
EV_HD float channel_value(const RowJob& job, const Pixel& p, int32_t m, int32_t c) {
  float v = p.c[m];
  if (job.channels == 1 && job.format != Format::gray) {
    v = fma1(job.luma_weight[0], p.c[0] - p.c[1], fma1(job.luma_weight[1], p.c[2] - p.c[1], p.c[1]));
  }
  return fma1(v, job.scale[c], job.offset[c]);
}

// Elements of the tensor as unsigned integers of their size.
struct Float32 {
  using Bits = uint32_t;
  EV_HD Bits bits(float v) {
    Bits bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
  }
};
struct Float16 {
  using Bits = uint16_t;
  EV_HD Bits bits(float v) { return to_half(v); }
};
struct Uint8 {
  using Bits = uint8_t;
  EV_HD Bits bits(float v) { return static_cast<Bits>(round_even(clamp1(v, 0.0f, 255.0f))); }
};
struct Int8 {
  using Bits = uint8_t;
  EV_HD Bits bits(float v) { return static_cast<Bits>(round_even(clamp1(v, -128.0f, 127.0f))); }
};

EV_HD uint32_t join(uint32_t low, uint32_t) { return low; }
EV_HD uint32_t join(uint16_t low, uint16_t high) { return low | static_cast<uint32_t>(high) << 16; }
EV_HD uint16_t join(uint8_t low, uint8_t high) { return static_cast<uint16_t>(low | high << 8); }

// Write one channel of the thread's columns at `line`, the tensor's row of that channel. NCHW.
template <typename T>
EV_HD void write_channel(const RowJob& job, uint8_t* line, bool packed, const Columns& columns, const float* v) {
  using Bits = typename T::Bits;
  constexpr int32_t kSize = sizeof(Bits);
  if (packed && kSize < 4) {  // the width is even: both lie within it, or none
    if (columns.column[0] < job.width) write(line + columns.column[0] * kSize, join(T::bits(v[0]), T::bits(v[1])));
    return;
  }
  EV_UNROLL
  for (int32_t k = 0; k < kPixels; ++k) {
    if (columns.column[k] < job.width) write(line + columns.column[k] * kSize, T::bits(v[k]));
  }
}

// Write values[memory channel][pixel] to the thread's columns of tensor row `row`.
template <typename T>
EV_HD void write_row(const RowJob& job, const Columns& columns, int32_t row, const float (*values)[kPixels]) {
  using Bits = typename T::Bits;
  constexpr int32_t kSize = sizeof(Bits);
  uint8_t* out = static_cast<uint8_t*>(job.out);
  const bool packed = aligned(job.out, static_cast<int64_t>(job.width) * kSize, 2 * kSize);
  EV_UNROLL
  for (int32_t m = 0; m < 3; ++m) {
    if (m >= job.channels) break;
    const int32_t c = tensor_channel(job, m);
    if (job.layout == Layout::nchw) {
      write_channel<T>(job, out + (c * job.height + row) * job.width * kSize, packed, columns, values[m]);
      continue;
    }
    EV_UNROLL
    for (int32_t k = 0; k < kPixels; ++k) {
      const int32_t at = (row * job.width + columns.column[k]) * job.channels + c;
      if (columns.column[k] < job.width) write(out + at * kSize, T::bits(values[m][k]));
    }
  }
}

// Two equal elements in one store.
EV_HD void write_two(uint8_t* p, uint32_t bits) { write(p, static_cast<uint64_t>(bits) << 32 | bits); }
EV_HD void write_two(uint8_t* p, uint16_t bits) { write(p, join(bits, bits)); }
EV_HD void write_two(uint8_t* p, uint8_t bits) { write(p, join(bits, bits)); }

// Write pad to columns first_column … first_column + kTileColumns - 1 of tensor row `row`, as far as there are any.
template <typename T>
EV_HD void pad_row(const RowJob& job, int32_t first_column, int32_t lane, int32_t row) {
  using Bits = typename T::Bits;
  constexpr int32_t kSize = sizeof(Bits);
  uint8_t* out = static_cast<uint8_t*>(job.out);
  const int32_t column = first_column + lane * kPixels;
  const bool nchw = job.layout == Layout::nchw;
  const bool in_one = nchw && aligned(job.out, static_cast<int64_t>(job.width) * kSize, kPixels * kSize);
  for (int32_t c = 0; c < job.channels; ++c) {
    const Bits bits = T::bits(job.pad[c]);
    if (in_one) {
      const int64_t at = (static_cast<int64_t>(c) * job.height + row) * job.width + column;
      if (column < job.width) write_two(out + at * kSize, bits);
      continue;
    }
    for (int32_t k = 0; k < kPixels && column + k < job.width; ++k) {
      const int64_t at = nchw ? (static_cast<int64_t>(c) * job.height + row) * job.width + column + k
                              : (static_cast<int64_t>(row) * job.width + column + k) * job.channels + c;
      write(out + at * kSize, bits);
    }
  }
}

// Write tensor row `row` in the thread's columns: the picture's pixels, normalised, and pad beside them.
EV_HD void write_pixels(const RowJob& job, const Columns& columns, int32_t row, const Pixel* pixels) {
  float values[3][kPixels] = {};
  EV_UNROLL
  for (int32_t m = 0; m < 3; ++m) {
    if (m >= job.channels) break;
    const int32_t c = tensor_channel(job, m);
    EV_UNROLL
    for (int32_t k = 0; k < kPixels; ++k) {
      values[m][k] = columns.inside[k] ? channel_value(job, pixels[k], m, c) : job.pad[c];
    }
  }
  switch (job.dtype) {
    case Dtype::float32: return write_row<Float32>(job, columns, row, values);
    case Dtype::float16: return write_row<Float16>(job, columns, row, values);
    case Dtype::uint8: return write_row<Uint8>(job, columns, row, values);
    case Dtype::int8: return write_row<Int8>(job, columns, row, values);
  }
}

EV_HD void write_pad(const RowJob& job, int32_t first_column, int32_t lane, int32_t row) {
  switch (job.dtype) {
    case Dtype::float32: return pad_row<Float32>(job, first_column, lane, row);
    case Dtype::float16: return pad_row<Float16>(job, first_column, lane, row);
    case Dtype::uint8: return pad_row<Uint8>(job, first_column, lane, row);
    case Dtype::int8: return pad_row<Int8>(job, first_column, lane, row);
  }
}

// Where float32 goes that lies in three planes, as it mostly does; everything that does not change from row to row.
struct FloatPlanes {
  uint8_t* first[kPixels];  // of the thread's columns in the first plane, at tensor row 0
  uint32_t plane[3];        // by memory channel: bytes to the plane that it becomes
  float scale[3], offset[3];
};

EV_HD bool is_float_planes(const RowJob& job) {
  return job.dtype == Dtype::float32 && job.layout == Layout::nchw && job.channels == 3;
}

EV_HD FloatPlanes float_planes(const RowJob& job, const Columns& columns) {
  FloatPlanes planes;
  EV_UNROLL
  for (int32_t k = 0; k < kPixels; ++k) planes.first[k] = static_cast<uint8_t*>(job.out) + columns.column[k] * 4;
  EV_UNROLL
  for (int32_t m = 0; m < 3; ++m) {
    const int32_t c = tensor_channel(job, m);
    planes.plane[m] = static_cast<uint32_t>(c * job.height * job.width) * 4;
    planes.scale[m] = job.scale[c];
    planes.offset[m] = job.offset[c];
  }
  return planes;
}

EV_HD void write_float_planes(const RowJob& job, const Columns& columns, const FloatPlanes& planes, int32_t row,
                              const Pixel* pixels) {
  const uint32_t line = static_cast<uint32_t>(row * job.width) * 4;
  EV_UNROLL
  for (int32_t k = 0; k < kPixels; ++k) {
    if (columns.column[k] >= job.width) continue;
    uint8_t* at = planes.first[k] + line;
    EV_UNROLL
    for (int32_t m = 0; m < 3; ++m) {
      float v = fma1(pixels[k].c[m], planes.scale[m], planes.offset[m]);
      if (!columns.inside[k]) v = job.pad[tensor_channel(job, m)];
      write(at + planes.plane[m], Float32::bits(v));
    }
  }
}

// Words of a pixel's Samples.
EV_HD constexpr int32_t sample_words(Format format) {
  return format == Format::nv12 ? 2 : format == Format::bgra || format == Format::gray || format == Format::yuyv ? 1 : 3;
}

// Most words of a pixel that are loaded a row ahead: more would not fit into the registers.
constexpr int32_t kWordsAhead = 8;

// Tensor rows first, first + step, … below `end`, all of them the picture's. A row's samples are loaded before the row
// above it is computed and written, where registers allow: so loads are always under way.
template <Format F, bool kAcross, bool kDown, bool kFloatPlanes>
EV_HD void picture_rows(const RowJob& job, const Columns& columns, int32_t first, int32_t step, int32_t end) {
  if (first >= end) return;
  constexpr bool kAhead = sample_words(F) * (kAcross ? 2 : 1) * (kDown ? 2 : 1) <= kWordsAhead;
  RowSamples next;
  FloatPlanes planes;
  if (kFloatPlanes) planes = float_planes(job, columns);
  if (kAhead) next = load_row<F, kAcross, kDown>(job, columns, first - job.top);
  EV_ROLLED
  for (int32_t row = first; row < end; row += step) {
    RowSamples samples;
    if (kAhead) {
      samples = next;
      if (row + step < end) next = load_row<F, kAcross, kDown>(job, columns, row + step - job.top);
    } else {
      samples = load_row<F, kAcross, kDown>(job, columns, row - job.top);
    }
    Pixel pixels[kPixels];
    EV_UNROLL
    for (int32_t k = 0; k < kPixels; ++k) pixels[k] = lerp_pixel<F, kAcross, kDown>(job, columns, samples, k);
    if (kFloatPlanes) {
      write_float_planes(job, columns, planes, row, pixels);
    } else {
      write_pixels(job, columns, row, pixels);
    }
  }
}

template <Format F, bool kFloatPlanes>
EV_HD void picture_rows_to(const RowJob& job, const Columns& columns, int32_t first, int32_t step, int32_t end) {
  if (job.rows.taps > 1) {
    if (job.columns.taps > 1) return picture_rows<F, true, true, kFloatPlanes>(job, columns, first, step, end);
    return picture_rows<F, false, true, kFloatPlanes>(job, columns, first, step, end);
  }
  if (job.columns.taps > 1) return picture_rows<F, true, false, kFloatPlanes>(job, columns, first, step, end);
  return picture_rows<F, false, false, kFloatPlanes>(job, columns, first, step, end);
}

template <Format F>
EV_HD void picture_rows_of(const RowJob& job, const Columns& columns, int32_t first, int32_t step, int32_t end) {
  if (is_float_planes(job)) return picture_rows_to<F, true>(job, columns, first, step, end);
  return picture_rows_to<F, false>(job, columns, first, step, end);
}

EV_HD void write_picture(const RowJob& job, const Columns& columns, int32_t first, int32_t step, int32_t end) {
  switch (job.format) {
    case Format::bgr:
    case Format::rgb: return picture_rows_of<Format::bgr>(job, columns, first, step, end);  // alike in memory
    case Format::bgra: return picture_rows_of<Format::bgra>(job, columns, first, step, end);
    case Format::gray: return picture_rows_of<Format::gray>(job, columns, first, step, end);
    case Format::nv12: return picture_rows_of<Format::nv12>(job, columns, first, step, end);
    case Format::i420: return picture_rows_of<Format::i420>(job, columns, first, step, end);
    case Format::yuyv: return picture_rows_of<Format::yuyv>(job, columns, first, step, end);
  }
}

// Any job, by pixel.h alone. Not inlined, so that it takes no registers from the fast path.
EV_COLD void prepare_tile_any(const RowJob& job, int32_t first_column, int32_t lane, int32_t first_row, int32_t step,
                              int32_t end) {
  const int32_t last_column = min1(first_column + kTileColumns, job.width);
  for (int32_t row = first_row; row < end; row += step) {
    for (int32_t x = first_column + lane; x < last_column; x += kLanes) prepare_pixel(job, row, x);
  }
}

// Tensor rows first_row, first_row + step, … below `end`, in the columns of the tile that are the thread's.
EV_TILE void prepare_tile(const RowJob& job, int32_t first_column, int32_t lane, int32_t first_row, int32_t step,
                          int32_t end) {
  if (job.resampling != Resampling::lerp || !samples_are_aligned(job)) {
    return prepare_tile_any(job, first_column, lane, first_row, step, end);
  }
  const bool pad_only = first_column >= job.left + job.columns.count || first_column + kTileColumns <= job.left;
  const int32_t bottom = pad_only ? first_row : min1(job.top + job.rows.count, end);  // below the picture's last row
  int32_t row = first_row;
  for (; row < end && (row < job.top || pad_only); row += step) write_pad(job, first_column, lane, row);
  if (row < bottom) {
    write_picture(job, tile_columns(job, first_column, lane), row, step, bottom);
    row += (bottom - row + step - 1) / step * step;
  }
  for (; row < end; row += step) write_pad(job, first_column, lane, row);
}

}  // namespace tile
}  // namespace edgevision
