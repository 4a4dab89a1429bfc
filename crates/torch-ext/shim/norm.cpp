// Group normalization of frames and SiLU as one autograd node. libtorch's own normalization takes up to a hundred times as
// long backward as forward when the channels are innermost, and autograd would keep the normalized values for SiLU.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "guard.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Letters: x [B, T, L, C], L places of a frame; G groups of C / G channels. Values per frame and channel are [B, T, 1, C].

// The mean over the channels of each group, for each channel.
at::Tensor group_mean(const at::Tensor& per_channel, int64_t groups) {
  auto grouped = per_channel.unflatten(3, {groups, -1});
  return grouped.mean({4}, true).expand_as(grouped).flatten(3).contiguous();
}

struct GroupNormSilu : torch::autograd::Function<GroupNormSilu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            int64_t groups, double eps) {
    auto values = x.to(at::kFloat);
    auto mean = group_mean(values.mean({2}, true), groups);
    auto y = values - mean;
    auto rstd = group_mean((y * y).mean({2}, true), groups).add_(eps).rsqrt_();
    y.mul_(weight * rstd).add_(bias);
    at::silu_(y);
    ctx->save_for_backward({x, weight, bias, mean, rstd});
    ctx->saved_data["groups"] = groups;
    return y.to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2], &mean = saved[3], &rstd = saved[4];
    int64_t groups = ctx->saved_data["groups"].toInt();
    auto scale = weight * rstd;

    auto centred = x.to(at::kFloat) - mean;
    auto normed = at::addcmul(bias, centred, scale);
    auto grad = at::silu_backward(grads[0].to(at::kFloat), normed);
    normed = at::Tensor();
    // Means over the places, so that no sum of a whole group gets large.
    auto along_one = grad.mean({2}, true);
    auto along_x = (grad * centred).mean({2}, true);

    auto x_slope = group_mean(along_x * scale, groups).mul_(rstd).mul_(rstd).neg_();
    auto x_shift = group_mean(along_one * scale, groups).neg_();
    auto x_grad = centred.mul_(x_slope).add_(x_shift).addcmul_(grad, scale);

    double places = static_cast<double>(x.size(2));
    auto weight_grad = (along_x * rstd).sum({0, 1, 2}).mul_(places);
    auto bias_grad = along_one.sum({0, 1, 2}).mul_(places);
    return {x_grad.to(x.scalar_type()), weight_grad, bias_grad, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

extern "C" int lv_group_norm_silu(at::Tensor* x, at::Tensor* weight, at::Tensor* bias, int64_t groups, double eps,
                                  at::Tensor** output) {
  return guard([&] { *output = new at::Tensor(GroupNormSilu::apply(*x, *weight, *bias, groups, eps)); });
}
