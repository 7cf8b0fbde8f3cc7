#include "jpeg_scan.h"

#include <array>

namespace edgevision {
namespace {

constexpr int kLookBits = 10;  // codes up to this length are found in one step
constexpr int kMostBits = 32;  // that a code and what follows it may have
constexpr int kBlockEnd = 64;  // coefficients of a block

// What a code stands for. `bits`: of the code and of the number behind it. `advance`: coefficients that it fills, with the zeros before it.
struct Step {
  std::uint8_t bits = 0;     // 0: the code is longer than kLookBits, or is none
  std::uint8_t advance = 0;  // 0: no such code, or it cannot be
};

struct Table {
  bool present = false;
  bool is_ac = false;
  std::array<std::uint8_t, 256> values{};
  std::array<std::int32_t, 17> last{};    // greatest code of each length, -1: none
  std::array<std::int32_t, 17> offset{};  // index of a code in values = code + offset
  std::array<Step, 1 << kLookBits> look{};

  // Annex C. Returns whether counts and values make a code.
  bool build(const std::uint8_t* counts, const std::uint8_t* listed, int total, bool ac) {
    is_ac = ac;
    for (int i = 0; i < total; ++i) values[i] = listed[i];
    look.fill({});
    std::int32_t code = 0, index = 0;
    for (int length = 1; length <= 16; ++length) {
      offset[length] = index - code;
      for (int i = 0; i < counts[length - 1]; ++i, ++code, ++index) {
        if (code >= 1 << length) return false;
        if (length > kLookBits) continue;
        const int first = code << (kLookBits - length);
        for (int j = 0; j < 1 << (kLookBits - length); ++j) look[first + j] = step(length, values[index]);
      }
      last[length] = counts[length - 1] ? code - 1 : -1;
      code <<= 1;
    }
    return present = true;
  }

  // Of a code of `length` bits that stands for `value`. A value that cannot be fills nothing.
  Step step(int length, int value) const {
    if (!is_ac) {
      if (value > 16) return {1, 0};
      return {static_cast<std::uint8_t>(length + value), 1};
    }
    const int run = value >> 4, size = value & 15;
    if (size > 0) return {static_cast<std::uint8_t>(length + size), static_cast<std::uint8_t>(run + 1)};
    if (value == 0xF0) return {static_cast<std::uint8_t>(length), 16};
    return {static_cast<std::uint8_t>(length), kBlockEnd};
  }
};

struct Component {
  int id = 0, across = 1, down = 1;
  const Table* dc = nullptr;
  const Table* ac = nullptr;
};

// Bits of entropy-coded data up to the next marker; zeros beyond, which are counted.
class Bits {
 public:
  Bits(const std::uint8_t* at, const std::uint8_t* end) : at_(at), end_(end) {}

  // Have at least kMostBits.
  void fill() {
    if (left_ >= kMostBits) return;
    if (end_ - at_ >= 4) {
      std::uint32_t four = 0;
      for (int i = 0; i < 4; ++i) four = four << 8 | at_[i];
      const std::uint32_t inverse = ~four;
      if ((((inverse - 0x01010101u) & four) & 0x80808080u) == 0) {  // none of the bytes is FF
        bits_ = bits_ << 32 | four;
        left_ += 32;
        at_ += 4;
        return;
      }
    }
    while (left_ < kMostBits) {
      std::uint64_t byte = 0;
      if (at_ < end_ && (*at_ != 0xFF || (at_ + 1 < end_ && at_[1] == 0))) {
        byte = *at_;
        at_ += *at_ == 0xFF ? 2 : 1;
      } else {
        beyond_ += 8;
      }
      bits_ = bits_ << 8 | byte;
      left_ += 8;
    }
  }
  std::uint32_t peek(int count) const { return static_cast<std::uint32_t>(bits_ >> (left_ - count)) & ((1u << count) - 1); }
  void skip(int count) { left_ -= count; }
  bool over() const { return left_ < beyond_; }  // zeros from beyond the end were used

  // To the start of the next interval. Returns false where restart marker `number` is not next.
  bool restart(int number) {
    while (at_ + 1 < end_ && at_[0] == 0xFF && at_[1] == 0xFF) ++at_;
    if (at_ + 1 >= end_ || at_[0] != 0xFF || at_[1] != 0xD0 + number) return false;
    at_ += 2;
    bits_ = 0;
    left_ = beyond_ = 0;
    return true;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::uint64_t bits_ = 0;
  int left_ = 0;
  int beyond_ = 0;
};

// What the next code stands for, where it is no short one; nothing: there is no such code.
Step long_step(const Bits& bits, const Table& table) {
  for (int length = kLookBits + 1; length <= 16; ++length) {
    const auto code = static_cast<std::int32_t>(bits.peek(length));
    if (code <= table.last[length]) return table.step(length, table.values[(code + table.offset[length]) & 0xFF]);
  }
  return {};
}

// Past the next code, and the number behind it. Returns how many coefficients it fills; 0: there is no such code.
inline int skip_step(Bits& bits, const Table& table) {
  bits.fill();
  Step step = table.look[bits.peek(kLookBits)];
  if (step.bits == 0) step = long_step(bits, table);
  bits.skip(step.bits);
  return step.advance;
}

bool skip_block(Bits& shared, const Component& component) {
  Bits bits = shared;  // a copy stays in registers
  bool sound = skip_step(bits, *component.dc) != 0;
  for (int k = 1; sound && k < kBlockEnd;) {
    const int advance = skip_step(bits, *component.ac);
    sound = advance != 0;
    k += advance;
  }
  shared = bits;
  return sound;
}

int number16(const std::uint8_t* at) { return at[0] << 8 | at[1]; }

class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : at_(data + 2), end_(data + size) {}

  JpegScan read() {
    JpegScan result;
    while (end_ - at_ >= 4) {
      if (at_[0] != 0xFF) return result;
      if (at_[1] == 0xFF) {
        ++at_;
        continue;
      }
      const int marker = at_[1], length = number16(at_ + 2);
      const std::uint8_t* body = at_ + 4;
      if (length < 2 || end_ - at_ - 2 < length) return result;
      at_ += 2 + length;
      const bool is_frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
      bool understood = true;
      if (marker == 0xC4) understood = read_tables(body, at_);
      if (marker == 0xDD) {
        understood = length == 4;
        if (understood) interval_ = number16(body);
      }
      if (is_frame) understood = marker <= 0xC1 && read_frame(body, at_);
      if (marker == 0xDA) return components_ > 0 && read_scan(body, at_) ? count_mcus() : result;
      if (!understood) return result;
    }
    return result;
  }

 private:
  bool read_tables(const std::uint8_t* body, const std::uint8_t* end) {
    while (end - body >= 17) {
      const int kind = body[0] >> 4, place = body[0] & 15;
      int total = 0;
      for (int i = 1; i <= 16; ++i) total += body[i];
      if (kind > 1 || place > 3 || total > 256 || end - body - 17 < total) return false;
      if (!tables_[kind][place].build(body + 1, body + 17, total, kind == 1)) return false;
      body += 17 + total;
    }
    return body == end;
  }

  bool read_frame(const std::uint8_t* body, const std::uint8_t* end) {
    if (components_ > 0 || end - body < 6 || body[0] != 8) return false;
    height_ = number16(body + 1);
    width_ = number16(body + 3);
    const int count = body[5];
    if (count < 1 || count > 4 || end - body != 6 + 3 * count || height_ < 1 || width_ < 1) return false;
    for (int i = 0; i < count; ++i) {
      Component& one = component_[i];
      one.id = body[6 + 3 * i];
      one.across = body[7 + 3 * i] >> 4;
      one.down = body[7 + 3 * i] & 15;
      if (one.across < 1 || one.across > 4 || one.down < 1 || one.down > 4) return false;
      widest_ = one.across > widest_ ? one.across : widest_;
      highest_ = one.down > highest_ ? one.down : highest_;
    }
    components_ = count;
    return true;
  }

  bool read_scan(const std::uint8_t* body, const std::uint8_t* end) {
    if (end - body != 4 + 2 * components_ || body[0] != components_) return false;
    for (int i = 0; i < components_; ++i) {
      const int dc = body[2 + 2 * i] >> 4, ac = body[2 + 2 * i] & 15;
      if (component_[i].id != body[1 + 2 * i] || dc > 3 || ac > 3) return false;
      component_[i].dc = &tables_[0][dc];
      component_[i].ac = &tables_[1][ac];
      if (!component_[i].dc->present || !component_[i].ac->present) return false;
    }
    if (components_ == 1) component_[0].across = component_[0].down = widest_ = highest_ = 1;  // A.2.2
    return true;
  }

  JpegScan count_mcus() const {
    JpegScan result;
    result.across = (width_ + 8 * widest_ - 1) / (8 * widest_);
    result.total = result.across * ((height_ + 8 * highest_ - 1) / (8 * highest_));
    Bits bits(at_, end_);
    for (; result.read < result.total; ++result.read) {
      if (interval_ > 0 && result.read > 0 && result.read % interval_ == 0 &&
          !bits.restart(static_cast<int>((result.read / interval_ - 1) % 8))) {
        result.verdict = JpegScan::Verdict::damaged;
        return result;
      }
      bool sound = true;
      for (int i = 0; i < components_ && sound; ++i) {
        for (int j = component_[i].across * component_[i].down; j > 0 && sound; --j) sound = skip_block(bits, component_[i]);
      }
      if (bits.over()) {
        result.verdict = JpegScan::Verdict::cut;
        return result;
      }
      if (!sound) {
        result.verdict = JpegScan::Verdict::damaged;
        return result;
      }
    }
    result.verdict = JpegScan::Verdict::whole;
    return result;
  }

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::array<std::array<Table, 4>, 2> tables_;
  std::array<Component, 4> component_;
  int components_ = 0, widest_ = 1, highest_ = 1, height_ = 0, width_ = 0, interval_ = 0;
};

}  // namespace

JpegScan scan_jpeg(const std::uint8_t* data, std::size_t size) {
  if (size < 4 || data[0] != 0xFF || data[1] != 0xD8) return {};
  return Reader(data, size).read();
}

}  // namespace edgevision
