using Xunit;

namespace Levain.Tests.Training.Kohya;

/// <summary>Arguments that the classes behind kohya's optimizers take, pass over and refuse.</summary>
public sealed class KohyaOptimizersTests
{
    [Theory]
    [InlineData("AdamW --optimizer_args maximize=False fused=True capturable=False")]
    [InlineData("SGD --optimizer_args maximize=True fused=None")]
    [InlineData("AdamW --optimizer_args amsgrad=None")]
    [InlineData("pytorch_optimizer.CAME --optimizer_args ams_bound=True anything=1")]
    [InlineData("pytorch_optimizer.Adan --optimizer_args max_grad_norm=0.5 maximize=False foreach=True anything=1")]
    [InlineData("PagedAdamW32bit --optimizer_args optim_bits=8 amsgrad=True")]
    [InlineData("AdamW8bit --optimizer_args is_paged=True")]
    [InlineData("bitsandbytes.optim.SGD8bit --optimizer_args momentum=0.9 nesterov=True")]
    [InlineData("transformers.optimization.Adafactor --optimizer_args relative_step=False")]
    [InlineData("ASGD --optimizer_args lambd=1e-4 t0=1e6")]
    [InlineData("torch.optim.Adafactor --optimizer_args d=1.0 beta2_decay=-0.8")]
    [InlineData("bitsandbytes.optim.AdamW --optimizer_args optim_bits=8 amsgrad=True is_paged=False")]
    [InlineData("bitsandbytes.optim.PagedLion --optimizer_args optim_bits=8")]
    [InlineData("bitsandbytes.optim.AdEMAMix8bit --optimizer_args alpha=8.0 t_alpha=100 is_paged=False")]
    [InlineData("bitsandbytes.optim.SGD --optimizer_args momentum=0.9 optim_bits=8")]
    [InlineData("SGD --lr_scheduler_type OneCycleLR --lr_scheduler_args max_lr=0.1 total_steps=100")]
    [InlineData("Adagrad --lr_scheduler_type OneCycleLR --lr_scheduler_args max_lr=0.1 total_steps=100 cycle_momentum=False")]
    [InlineData("DAdaptLion --learning_rate 0 --unet_lr 1 --text_encoder_lr 1")]
    public void What_the_class_takes_is_taken(string words) => Assert.Empty(ShortLine.Read("--optimizer_type " + words).Problems.All);

    [Theory]
    [InlineData("SGD --optimizer_args capturable=False")]
    [InlineData("RMSprop --optimizer_args fused=False")]
    [InlineData("AdamW --optimizer_args weight_decay=None")]
    [InlineData("AdamW8bit --optimizer_args amsgrad=True")]
    [InlineData("PagedAdamW8bit --optimizer_args is_paged=True")]
    [InlineData("PagedLion8bit --optimizer_args is_paged=True")]
    [InlineData("pytorch_optimizer.Adan --optimizer_args use_gc=True")]
    [InlineData("SGDNesterov --optimizer_args nesterov=True")]
    [InlineData("SGDNesterov8bit --optimizer_args nesterov=True")]
    [InlineData("bitsandbytes.optim.SGD8bit")]
    [InlineData("bitsandbytes.optim.SGD32bit --optimizer_args momentum=0.9 optim_bits=8")]
    [InlineData("bitsandbytes.optim.Lion32bit --optimizer_args optim_bits=8")]
    [InlineData("bitsandbytes.optim.adamw")]
    [InlineData("AdEMAMix8bit")]
    [InlineData("bitsandbytes.optim.PagedAdEMAMix8bit --optimizer_args is_paged=True")]
    [InlineData("transformers.optimization.Adafactor")]
    [InlineData("dadaptation.DAdaptAdam")]
    [InlineData("DAdaptAdaGrad --optimizer_args eps=0.0")]
    [InlineData("Adagrad --lr_scheduler_type OneCycleLR --lr_scheduler_args max_lr=0.1 total_steps=100")]
    [InlineData("Lion --learning_rate 0 --unet_lr 1e-4 --text_encoder_lr 1e-4")]
    [InlineData("Prodigy --learning_rate 0 --unet_lr 1 --text_encoder_lr 1")]
    public void What_the_class_refuses_is_refused(string words) => Assert.NotEmpty(ShortLine.Read("--optimizer_type " + words).Problems.All);

    [Fact]
    public void A_class_by_its_path_gets_only_what_was_given()
    {
        Assert.Equal(["momentum"], ShortLine.Read("--optimizer_type SGDNesterov8bit").Settings.Kohya!.OptimizerArgs.Select(pair => pair.Key));
        Assert.Empty(ShortLine.Read("--optimizer_type bitsandbytes.optim.SGD8bit").Settings.Kohya!.OptimizerArgs);
        Assert.Equal(["relative_step"], ShortLine.Read("--optimizer_type Adafactor").Settings.Kohya!.OptimizerArgs.Select(pair => pair.Key));
        Assert.Empty(ShortLine.Read("--optimizer_type transformers.Adafactor").Settings.Kohya!.OptimizerArgs);
    }
}
