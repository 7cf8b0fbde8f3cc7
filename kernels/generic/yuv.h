// Y'CbCr to B, G, R for eight pixels.
#pragma once

#include "normalise.h"

namespace edgevision::EV_ISA {

class YuvConverter {
 public:
  explicit YuvConverter(const YuvMatrix& m)
      : black_level_(all(m.black_level)), luma_(all(m.luma)), blue_cb_(all(m.blue_cb)), green_cb_(all(m.green_cb)),
        green_cr_(all(m.green_cr)), red_cr_(all(m.red_cr)), bias_{all(m.bias[0]), all(m.bias[1]), all(m.bias[2])} {}

  // The order of operations is that of pixel.h: chroma_terms, then yuv_pixel. The constants are multiples of 2^-26, so
  // the sums are multiples of 2^-26 below 2^10, before and after rounding. They fit the 53 bits that fma53 needs.
  EV_INLINE void chroma(F8 cb, F8 cr, F8* terms) const {
    terms[0] = fma53(cb, blue_cb_, bias_[0]);
    terms[1] = fma53(cb, green_cb_, fma53(cr, green_cr_, bias_[1]));
    terms[2] = fma53(cr, red_cr_, bias_[2]);
  }

  EV_INLINE void pixel(F8 y, const F8* terms, F8* bgr) const {
    const F8 light = max(y, black_level_);
    for (int c = 0; c < 3; ++c) bgr[c] = clamp(fma53(light, luma_, terms[c]), zero(), all(255.0f));
  }

  EV_INLINE void operator()(F8 y, F8 cb, F8 cr, F8* bgr) const {
    F8 terms[3];
    chroma(cb, cr, terms);
    pixel(y, terms, bgr);
  }

 private:
  F8 black_level_, luma_, blue_cb_, green_cb_, green_cr_, red_cr_, bias_[3];
};

}  // namespace edgevision::EV_ISA
