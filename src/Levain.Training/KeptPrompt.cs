using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>
/// What the base itself says to a prompt, asked once before the network hangs on it: prior preservation without pictures. Noised latents of the
/// training pictures are the questions, so that what is kept is kept where the network learns.
/// </summary>
/// <remarks>The aim is that of Ruiz et al. 2023, https://arxiv.org/abs/2208.12242, eq. 2; the target is the base's prediction instead of a generated picture's noise, as in distillation (Li and Hoiem 2016, https://arxiv.org/abs/1606.09282).</remarks>
internal sealed class KeptPrompt : IDisposable
{
    private sealed record Answer(Tensor Noisy, int Timestep, Tensor Prediction);

    private readonly string prompt;
    private readonly double weight;
    private readonly List<Answer> answers = [];

    private KeptPrompt(string prompt, double weight) => (this.prompt, this.weight) = (prompt, weight);

    /// <summary>Asks the base. Call it before a network is attached.</summary>
    /// <param name="questions">Noised latents, one at a time; this disposes them.</param>
    /// <param name="context">States of the prompt, [1, N, C].</param>
    public static KeptPrompt Ask(string prompt, double weight, StableDiffusion model, IEnumerable<NoisedLatents> questions, Tensor context)
    {
        var kept = new KeptPrompt(prompt, weight);
        foreach (var question in questions)
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            var prediction = model.UNet.call(question.Noisy, tensor(new[] { (float)question.Timesteps[0] }).to(question.Noisy.device), context);
            kept.answers.Add(new(question.Noisy.DetachFromDisposeScope(), question.Timesteps[0], prediction.DetachFromDisposeScope()));
            question.Target.Dispose();
        }
        return kept;
    }

    /// <summary>How far the network has moved from an answer, a scalar; differentiable. The caller's scope owns it.</summary>
    /// <param name="turn">Which answer: they are gone through in turn.</param>
    /// <param name="trained">What is trained, told the timestep.</param>
    /// <param name="states">Encodes the prompt with the network on the text encoder.</param>
    public Tensor Loss(int turn, StableDiffusion model, Trained trained, Func<IReadOnlyList<string>, Tensor> states)
    {
        using var scope = NewDisposeScope();
        var (noisy, timestep, target) = answers[turn % answers.Count];
        trained.At([timestep]);
        var prediction = model.UNet.call(noisy, tensor(new[] { (float)timestep }).to(noisy.device), states([prompt]));
        return nn.functional.mse_loss(prediction, target).mul(weight).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (noisy, _, prediction) in answers)
        {
            noisy.Dispose();
            prediction.Dispose();
        }
        answers.Clear();
    }
}
