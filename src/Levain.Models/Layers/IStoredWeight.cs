namespace Levain.Models;

/// <summary>Something whose weight may be kept narrower than it computes with.</summary>
internal interface IStoredWeight
{
    /// <summary>Keeps it from now on in the type in which it computes, in memory of its own.</summary>
    void Widen();
}
